package check

// Status is the outcome of a check. The numbers are those that HAProxy shows in "show servers state".
type Status uint8

// The outcomes. Those from L7TOUT on, but for the timeouts and invalid answers, carry a code of the protocol.
const (
	Unknown Status = 0
	Initial Status = 1 // there was no check yet
	Checked Status = 3 // no change
	Analyze Status = 4 // sessions failed to connect
	SockErr Status = 5
	L4OK    Status = 6
	L4Tout  Status = 7
	L4Con   Status = 8
	L6OK    Status = 9
	L6Tout  Status = 10
	L6Rsp   Status = 11
	L7Tout  Status = 12
	L7Rsp   Status = 13
	L7OK    Status = 15
	L7OKC   Status = 16
	L7Sts   Status = 17

	ProcErr  Status = 18
	ProcTout Status = 19
	ProcOK   Status = 20
)

// firstWithCode is the first status that is shown with a code.
const firstWithCode = L7OK

var statuses = [...]struct{ name, text string }{
	Unknown: {"UNK", "Unknown"},
	Initial: {"INI", "Initializing"},
	Checked: {"CHECKED", "No status change"},
	Analyze: {"HANA", "Health analyze"},
	SockErr: {"SOCKERR", "Socket error"},
	L4OK:    {"L4OK", "Layer4 check passed"},
	L4Tout:  {"L4TOUT", "Layer4 timeout"},
	L4Con:   {"L4CON", "Layer4 connection problem"},
	L6OK:    {"L6OK", "Layer6 check passed"},
	L6Tout:  {"L6TOUT", "Layer6 timeout"},
	L6Rsp:   {"L6RSP", "Layer6 invalid response"},
	L7Tout:  {"L7TOUT", "Layer7 timeout"},
	L7Rsp:   {"L7RSP", "Layer7 invalid response"},
	L7OK:    {"L7OK", "Layer7 check passed"},
	L7OKC:   {"L7OKC", "Layer7 check conditionally passed"},
	L7Sts:   {"L7STS", "Layer7 wrong status"},

	ProcErr:  {"PROCERR", "External check error"},
	ProcTout: {"PROCTOUT", "External check timeout"},
	ProcOK:   {"PROCOK", "External check passed"},
}

// String is the short name, as in check_status of "show stat".
func (s Status) String() string { return s.entry().name }

// Text is the description, as in log lines and in check_desc of "show stat".
func (s Status) Text() string { return s.entry().text }

func (s Status) entry() struct{ name, text string } {
	if int(s) < len(statuses) && statuses[s].name != "" {
		return statuses[s]
	}
	return statuses[Unknown]
}

// Passed reports whether the server works.
func (s Status) Passed() bool {
	switch s {
	case L4OK, L6OK, L7OK, L7OKC, ProcOK:
		return true
	}
	return false
}

// HasCode reports whether the status is shown with a code.
func (s Status) HasCode() bool { return s >= firstWithCode }

// statusOf is the status of a name, other when there is no name.
func statusOf(name string, other Status) Status {
	if name == "" {
		return other
	}
	for s := range statuses {
		if statuses[s].name == name {
			return Status(s)
		}
	}
	return other
}
