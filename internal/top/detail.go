package top

import (
	"fmt"
	"strings"
)

// detail is everything about the server or the session that is looked at.
func (m *Model) detail() []Line {
	if s := m.detailed.session; s != nil {
		lines := []Line{{{Strong, "session " + s.ID + " of " + s.Client}}}
		if len(m.sample.Detail) == 0 {
			return append(lines, plain("it has ended"))
		}
		for _, text := range m.sample.Detail {
			lines = append(lines, plain(text))
		}
		return lines
	}
	return serverDetail(&m.detailed)
}

func serverDetail(i *item) []Line {
	r := i.row
	n := func(which number) int64 { return r.n[which] }
	lines := []Line{{{Strong, "server " + r.Proxy + "/" + r.Name + " at " + r.Address}}, nil}
	add := func(name, format string, args ...any) {
		lines = append(lines, plain(fmt.Sprintf("  %-12s ", name)+fmt.Sprintf(format, args...)))
	}
	lines = append(lines, Line{{Plain, fmt.Sprintf("  %-12s ", "state")}, {statusStyle(i), r.Status}, {Plain, " for " + span(n(changed))}})
	if why := reason(r); why != "" {
		add("because", "%s", why)
	}
	if r.CheckStatus != "" {
		text := r.CheckStatus
		if n(checkCode) != none {
			text += fmt.Sprintf(" %d", n(checkCode))
		}
		if n(checkDuration) != none {
			text += fmt.Sprintf(" in %d ms", n(checkDuration))
		}
		if reason(r) == "" {
			text += ", " + strings.TrimSuffix(r.CheckDesc+": "+r.LastCheck, ": ")
		}
		add("last check", "%s", text)
		if n(rise) != none {
			add("health", "%d of %d (rise %d, fall %d)", n(health), n(rise)+n(fall)-1, n(rise), n(fall))
		}
		add("history", "%s checks failed while it was up, went down %s times, down for %s in all", count(n(checksFailed)), count(n(downs)), span(n(downtime)))
	} else {
		add("last check", "it is not checked")
	}
	if r.Tracked != "" {
		add("tracks", "%s", r.Tracked)
	}
	role := "active"
	if n(backups) == 1 {
		role = "backup"
	}
	add("weight", "%s of %s configured, %s", weightText(i), count(n(userWeight)), role)
	add("sessions", "%s now, %s at most, limit %s; %s so far, %s/s, at most %s/s", count(n(current)), count(n(currentMax)), count(n(limit)),
		count(n(total)), count(n(rate)), count(n(rateMax)))
	add("queue", "%s now, %s at most, limit %s", count(n(queued)), count(n(queuedMax)), count(n(queueLimit)))
	add("bytes", "in %s, out %s; %s/s in, %s/s out", size(n(bytesIn)), size(n(bytesOut)), size(i.in), size(i.out))
	add("errors", "%s connecting, %s later; %s retries, %s redispatched; ended by clients %s, by the server %s", count(n(connectErrors)),
		count(n(responseErrors)), count(n(retries)), count(n(redispatches)), count(n(clientAborts)), count(n(serverAborts)))
	add("mean times", "%s ms in the queue, %s ms to connect, %s ms in all (the last 1024 sessions)", count(n(queueTime)), count(n(connectTime)), count(n(totalTime)))
	if n(lastSession) != none {
		add("last session", "%s ago", span(n(lastSession)))
	}
	return lines
}

// help is what the keys do.
func help(ascii bool) []Line {
	text := `  1 to 5, Tab    overview, frontends, backends, servers, sessions
  ↑ ↓ PgUp PgDn  select; g, G: first, last
  < >            sort by another column, or as the process lists
  R              sort the other way round
  /              filter by a regular expression; Escape: all
  Enter          everything about a server or a session
  s              the sessions of a server; Escape: back
  Space          look now            Ctrl-L  paint again
  q              quit

  Orders are given after y, and need a socket of level admin.
  d              drain a server: no new sessions
  m              maintenance: no sessions, no checks
  r              ready: a server is back at work
  w              weight of a server: up to 256, or a percentage
  k              shut a session down`
	if ascii {
		text = strings.Replace(text, "↑ ↓ PgUp PgDn ", "arrows, pages ", 1)
	}
	var lines []Line
	for line := range strings.Lines(text) {
		lines = append(lines, plain(strings.TrimRight(line, "\n")))
	}
	return lines
}
