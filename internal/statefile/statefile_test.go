package statefile

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var byValue = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// haproxys is an answer of HAProxy 2.6.
const haproxys = "1\n" + header + `
3 be 1 s1 127.0.0.1 2 8 10 10 7 6 3 4 6 0 0 0 - 24111 - 0 0 - - 0
4 un 2 u - 0 5 1 1 0 1 0 0 14 0 1 1 db.example 0 - 0 99 ::1 - 0
`

func TestReadAndWrite(t *testing.T) {
	list, err := Read(strings.NewReader(haproxys + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Server{
		{
			BackendID: 3, Backend: "be", ID: 1, Name: "s1", Addr: netip.MustParseAddr("127.0.0.1"), Operation: 2, Admin: 8, Weight: 10,
			InitialWeight: 10, SinceChange: 7, CheckStatus: 6, CheckResult: 3, CheckHealth: 4, CheckState: 6, Port: 24111,
		},
		{
			BackendID: 4, Backend: "un", ID: 2, Name: "u", Admin: 5, Weight: 1, InitialWeight: 1, CheckStatus: 1, CheckState: 14,
			BackendIDForced: true, IDForced: true, FQDN: "db.example", CheckPort: 99, CheckAddr: netip.IPv6Loopback(),
		},
	}
	if diff := cmp.Diff(want, list, byValue); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var text bytes.Buffer
	if err := Write(&text, list); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(haproxys, text.String()); diff != "" {
		t.Errorf("(-haproxy +ours):\n%s", diff)
	}
}

func TestBadLines(t *testing.T) {
	const line = "3 be 1 s1 127.0.0.1 2 8 10 10 7 6 3 4 6 0 0 0 - 24111 -"
	for _, c := range []struct {
		name, text, problem string
		count               int
		err                 error
	}{
		{"nothing", "", "", 0, ErrVersion},
		{"another version", "2\n", "", 0, ErrVersion},
		{"no version", line, "", 0, ErrVersion},
		{"only a version", "1", "", 0, nil},
		{"the fewest fields", "1\n" + line, "", 1, nil},
		{"comments and blanks", "1\n\n # x\n" + line + "\n\n", "", 1, nil},
		{"twice", "1\n" + line + "\n" + line, "", 1, nil},
		{"one field less", "1\n" + strings.TrimSuffix(line, " -"), "", 0, &CorruptError{2}},
		{"too many fields", "1\n" + line + " 1 2 3 4 5 6", "", 0, &CorruptError{2}},
		{"a long line", "1\n\n" + strings.Repeat("x", 3000), "", 0, &CorruptError{3}},
		{"maintenance and drain", "1\n" + strings.Replace(line, " 8 ", " 9 ", 1), ", invalid srv_admin_state value '9'", 1, nil},
		{"numbers", "1\n3 be 1 s1 x 9 foo 300 -1 x 99 5 -4 77 -3 2 2 - 70000 -", ", invalid srv_op_state value '9', invalid srv_admin_state value 'foo'," +
			" invalid srv_uweight value '300', invalid srv_iweight value '-1', invalid srv_last_time_change value 'x', invalid srv_check_status value '99'," +
			" invalid srv_check_result value '5', invalid srv_check_health value '-4', invalid srv_check_state value '77', invalid srv_agent_state value '-3'," +
			" invalid bk_f_forced_id value '2', invalid srv_f_forced_id value '2', invalid srv_port value '70000'", 1, nil},
	} {
		list, err := Read(strings.NewReader(c.text))
		var corrupt *CorruptError
		same := errors.Is(err, c.err)
		if want, ok := c.err.(*CorruptError); ok {
			same = errors.As(err, &corrupt) && *corrupt == *want
		}
		if !same || len(list) != c.count || c.count > 0 && list[0].Problem != c.problem {
			t.Errorf("%s: %+v, %v", c.name, list, err)
		}
	}
}

// Whatever a file holds, what was read can be written, and reads the same again.
func FuzzRead(f *testing.F) {
	f.Add(haproxys)
	f.Add("1\n3 be 1 s1 x 9 foo 300 -1 x 99 5 -4 77 -3 2 2 - 70000 -")
	f.Add("1\n\x00 \xff\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for i := range list {
			if list[i].Problem != "" {
				return
			}
		}
		var out bytes.Buffer
		if err := Write(&out, list); err != nil {
			t.Fatal(err)
		}
		again, err := Read(&out)
		var corrupt *CorruptError
		if errors.As(err, &corrupt) {
			return // what stood there in few bytes takes more
		}
		if diff := cmp.Diff(list, again, byValue); err != nil || diff != "" {
			t.Errorf("%v (-first +again):\n%s", err, diff)
		}
	})
}
