package e2e

import (
	"encoding/csv"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

// HAProxy as the oracle.
//
// A duet is Penstock and HAProxy on the same configuration, each with servers of its own. A test takes one step after
// the other, with both, and asks for the same picture again and again: the rows of "show stat", the lines about
// servers, the line of each session. A check waits at its server until the test answers it, so that what is between
// two checks can be looked at, and nothing depends on how long anything takes: checks that a test wants come soon, those
// that it does not want come in an hour.
//
// The servers follow from the names of the places in the configuration:
//
//	{f1}  a port of the proxy         {s1}  a server that says its name and waits for the client's end
//	{c1}  a port for checks           {x1}  an address that refuses

type duet struct {
	t     *testing.T
	sides [2]*side
}

// side is one of the two programs and everything around it.
type side struct {
	*proxy
	name    string
	mask    *regexp.Regexp // what of the lines about servers may differ; nil: nothing
	addrs   map[string]string
	servers map[string]*testutil.Listener
	clients map[string]*testutil.Conn
	checks  map[string]*testutil.Conn
}

// oraclePreset makes every line about a server visible, and has no check start late.
const oraclePreset = `
global
    maxconn 1000
    max-spread-checks 10ms
defaults
    mode tcp
    balance roundrobin
    log global
    option tcplog
    option log-health-checks
    timeout connect 20s
    timeout client 60s
    timeout server 60s
    timeout queue 60s
    timeout check 60s
`

// startDuet starts both programs.
func startDuet(t *testing.T, sections string, pairs ...any) *duet {
	t.Helper()
	skipForeign(t, "is the oracle itself")
	d := &duet{t: t}
	for i, path := range []string{program.path, testutil.Need(t, "haproxy")} {
		s := &side{
			name: []string{"penstock", "haproxy"}[i], addrs: map[string]string{}, servers: map[string]*testutil.Listener{},
			clients: map[string]*testutil.Conn{}, checks: map[string]*testutil.Conn{},
		}
		filled := slices.Clone(pairs)
		for _, m := range regexp.MustCompile(`\{([fscx]\d)\}`).FindAllStringSubmatch(sections, -1) {
			name := m[1]
			if s.addrs[name] != "" {
				continue
			}
			switch name[0] {
			case 's':
				s.servers[name] = testutil.Serve(t, greeting(name))
				s.addrs[name] = s.servers[name].Addr
			case 'c':
				s.servers[name] = testutil.Listen(t)
				s.addrs[name] = s.servers[name].Addr
			default:
				s.addrs[name] = testutil.Loopback(testutil.FreePort(t))
			}
			filled = append(filled, name, s.addrs[name])
			if name[0] == 'c' {
				_, port, _ := strings.Cut(s.addrs[name], ":")
				filled[len(filled)-1] = port
			}
		}
		s.proxy = prepare(t, oraclePreset+sections, filled...)
		s.path = path
		if i == 1 {
			check := exec.Command(path, "-c", "-f", s.cfg)
			if out, err := check.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", check.Args, out)
			}
		}
		s.launch(nil)
		d.sides[i] = s
	}
	return d
}

// greeting is a server that says its name and waits for the client's end.
func greeting(name string) func(*testutil.Conn) {
	return func(c *testutil.Conn) {
		c.Write([]byte(name)) // a client that has left misses nothing
		io.Copy(io.Discard, c)
	}
}

// serve has a server that refused listen again.
func (d *duet) serve(name string) {
	for _, s := range d.sides {
		s.servers[name] = testutil.ServeOn(d.t, s.addrs[name], greeting(name))
	}
}

// refuse has a server listen no more. Its sessions go on.
func (d *duet) refuse(name string) {
	for _, s := range d.sides {
		s.servers[name].Close()
	}
}

// differ ends the test unless both have the same to show.
func (d *duet) differ(what string, ours, theirs any) {
	d.t.Helper()
	if diff := cmp.Diff(theirs, ours); diff != "" {
		d.t.Fatalf("%s (-haproxy +penstock):\n%s", what, diff)
	}
}

// agree asks both until they have the same to show and ready holds for it, nil: always.
func (d *duet) agree(what string, show func(*side) string, ready func(string) bool) {
	d.t.Helper()
	var got [2]string
	testutil.Soon(func() bool {
		for i, s := range d.sides {
			got[i] = show(s)
		}
		return got[0] == got[1] && (ready == nil || ready(got[0]))
	})
	d.differ(what, strings.Split(got[0], "\n"), strings.Split(got[1], "\n"))
	if ready != nil && !ready(got[0]) {
		d.t.Fatalf("%s: both show\n%s", what, got[0])
	}
}

// order gives commands to both, one after the other, and compares the answers.
func (d *duet) order(commands ...string) {
	d.t.Helper()
	for _, command := range commands {
		var answers [2]string
		for i, s := range d.sides {
			answer, err := s.ask(command)
			if err != nil {
				d.t.Fatal(err)
			}
			answers[i] = strings.TrimSpace(answer)
		}
		d.differ(command, answers[0], answers[1])
	}
}

// oracleColumns are the columns of "show stat" that do not depend on time.
var oracleColumns = strings.Fields(`pxname svname status weight uweight act bck throttle qcur qmax qlimit scur smax slim stot lbtot
	econ wretr wredis chkfail chkdown check_status check_code last_chk check_desc check_rise check_fall check_health tracked`)

// systemError is how HAProxy 3 names an error of the system; 2.6 has the last words only.
var systemError = regexp.MustCompile(`E[A-Z]+ returned by OS \(([^)]*)\)`)

// rows are the rows of servers and backends, one in each line: "backend/server column=value column=value …".
func (s *side) rows() string {
	answer, err := s.ask("show stat -1 6 -1")
	if err != nil {
		return err.Error()
	}
	records, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(strings.TrimSpace(answer), "# "))).ReadAll()
	if err != nil || len(records) == 0 {
		return fmt.Sprintf("%v: %s", err, answer)
	}
	var list []string
	for _, record := range records[1:] {
		row := record[0] + "/" + record[1]
		for _, column := range oracleColumns[2:] {
			if at := slices.Index(records[0], column); at >= 0 && record[at] != "" && record[at] != "0" {
				row += " " + column + "=" + systemError.ReplaceAllString(record[at], "$1")
			}
		}
		list = append(list, row)
	}
	return strings.Join(list, "\n")
}

// stat waits until both show the same rows and each condition holds: "b/s1 status=DOWN act=1" are the beginning of a row
// and what follows in it.
func (d *duet) stat(conditions ...string) {
	d.t.Helper()
	d.agree("show stat, "+strings.Join(conditions, ", "), (*side).rows, func(rows string) bool {
		for _, c := range conditions {
			if !slices.ContainsFunc(strings.Split(rows, "\n"), func(row string) bool { return holds(row, c) }) {
				return false
			}
		}
		return true
	})
}

// shows waits until each shows what the conditions say.
func (d *duet) shows(conditions ...string) {
	d.t.Helper()
	for _, s := range d.sides {
		for _, c := range conditions {
			testutil.Eventually(d.t, s.name+" shows "+c, func() bool {
				return slices.ContainsFunc(strings.Split(s.rows(), "\n"), func(row string) bool { return holds(row, c) })
			})
		}
	}
}

func holds(row, condition string) bool {
	head, rest, _ := strings.Cut(condition, " ")
	if !strings.HasPrefix(row, head+" ") {
		return false
	}
	for _, word := range regexp.MustCompile(`\w+=[^=]*( |$)`).FindAllString(rest, -1) {
		if !strings.Contains(row+" ", " "+strings.TrimSpace(word)+" ") {
			return false
		}
	}
	return true
}

// states waits until both show the same servers with "show servers state", but for addresses, ports and times.
func (d *duet) states() {
	d.t.Helper()
	d.agree("show servers state", func(s *side) string {
		answer, err := s.ask("show servers state")
		if err != nil {
			return err.Error()
		}
		var list []string
		for line := range strings.Lines(answer) {
			f := strings.Fields(line)
			if len(f) < 25 || f[0] == "#" {
				continue
			}
			f[4], f[9], f[18], f[21], f[24] = "addr", "time", "port", "check", "agent"
			if f[13] == "0" || f[13] == "8" { // no check: HAProxy shows what was left there
				f[10], f[11], f[12] = "status", "result", "health"
			}
			list = append(list, strings.Join(f, " "))
		}
		return strings.Join(list, "\n")
	}, nil)
}

// dial connects clients.
func (d *duet) dial(names ...string) {
	d.t.Helper()
	for _, s := range d.sides {
		for _, name := range names {
			frontend := "f1"
			if at := strings.IndexByte(name, '@'); at >= 0 {
				frontend = name[at+1:]
			}
			s.clients[name] = testutil.Dial(d.t, "tcp", s.addrs[frontend])
		}
	}
}

// greeted waits until each client has a server, which must be the same.
func (d *duet) greeted(names ...string) (servers []string) {
	d.t.Helper()
	for _, name := range names {
		var got [2]string
		for i, s := range d.sides {
			buf := make([]byte, 2)
			s.clients[name].SetReadDeadline(time.Now().Add(testutil.Deadline))
			if _, err := io.ReadFull(s.clients[name], buf); err != nil {
				d.t.Fatalf("%s: client %s gets no server: %v", s.name, name, err)
			}
			got[i] = string(buf)
		}
		d.differ("the server of client "+name, got[0], got[1])
		servers = append(servers, got[0])
	}
	return servers
}

// open is dial and greeted for one client after the other.
func (d *duet) open(names ...string) (servers []string) {
	d.t.Helper()
	for _, name := range names {
		d.dial(name)
		servers = append(servers, d.greeted(name)...)
	}
	return servers
}

// leave ends sessions from the client's side and compares their lines.
func (d *duet) leave(names ...string) {
	d.t.Helper()
	for _, name := range names {
		for _, s := range d.sides {
			s.clients[name].Close()
		}
		d.logged(name)
	}
}

// ended waits for the end of sessions that the client does not end, and compares their lines.
func (d *duet) ended(names ...string) {
	d.t.Helper()
	for _, name := range names {
		for _, s := range d.sides {
			s.clients[name].ExpectClosed()
		}
		d.logged(name)
	}
}

// logged compares the lines of a session, in which of a time counts only whether it was.
func (d *duet) logged(name string) {
	d.t.Helper()
	var got [2]string
	for i, s := range d.sides {
		m := s.log.WaitLine(d.t, fmt.Sprintf(`127\.0\.0\.1:%d \[[^]]*\] (\S+ \S+) (\S+) (.*)\n`, s.clients[name].Port()))
		times := strings.Split(m[2], "/")
		for n, v := range times {
			if v != "-1" {
				times[n] = "t"
			}
		}
		end := m[3]
		if s.name == "haproxy" { // 3.x says where the session was when a server's state ended it
			end = regexp.MustCompile(` ([DU])- `).ReplaceAllString(end, " ${1}C ")
		}
		got[i] = m[1] + " " + strings.Join(times, "/") + " " + end
	}
	d.differ("the log line of client "+name, got[0], got[1])
}

// checked lets a check of each side reach the port, compares what is shown meanwhile, and answers it: "UP" passes, anything else
// fails.
func (d *duet) checked(port, answer string, conditions ...string) {
	d.t.Helper()
	d.held(port, conditions...)
	d.answer(port, answer)
}

// held waits for a check of each side and compares what is shown meanwhile.
func (d *duet) held(port string, conditions ...string) {
	d.t.Helper()
	for _, s := range d.sides {
		c, ok := s.servers[port].AcceptWithin(testutil.Deadline)
		if !ok {
			d.t.Fatalf("%s: no check at %s", s.name, port)
		}
		s.checks[port] = c
	}
	d.stat(conditions...)
}

func (d *duet) answer(port, answer string) {
	for _, s := range d.sides {
		s.checks[port].Write([]byte(answer))
		s.checks[port].Close()
	}
}

// serverLine are lines that are about servers.
var (
	serverLine   = regexp.MustCompile(`^(<\d+>)[^\n]*?: ((?:Backup )?Server .*|Health check .*|\w+ \S+ has no server available!)\n`)
	serverNumber = regexp.MustCompile(`check duration: \d+ms`)
)

// said is all lines about servers so far.
func (s *side) said() string {
	var list []string
	for _, line := range s.log.Lines() {
		if m := serverLine.FindStringSubmatch(line); m != nil {
			line = serverNumber.ReplaceAllString(m[1]+m[2], "check duration: t")
			if s.mask != nil {
				line = s.mask.ReplaceAllString(line, "…")
			}
			list = append(list, systemError.ReplaceAllString(line, "$1"))
		}
	}
	return strings.Join(list, "\n")
}

// says waits until both have said something about a server.
func (d *duet) says(texts ...string) {
	d.t.Helper()
	for _, text := range texts {
		for _, s := range d.sides {
			testutil.Eventually(d.t, s.name+" says "+text, func() bool { return strings.Contains(s.said(), text) })
		}
	}
}

// end compares all lines about servers. The last one is about a server of which the test says nothing else; lines come in
// order, so that nothing is missing before it.
func (d *duet) end(marker string) {
	d.t.Helper()
	d.order("set server " + marker + " state maint")
	d.agree("lines about servers", (*side).said, func(said string) bool {
		return strings.Contains(said, "Server "+marker+" is going DOWN for maintenance")
	})
}
