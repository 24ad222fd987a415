package peers

import "testing"

// FuzzTexts feeds the readers of /proc, of strace's table and of what nginx says of itself.
func FuzzTexts(f *testing.F) {
	for _, seed := range []string{
		"calls syscall\n----- -----\n 10 splice\n 10 total\n",
		"1234 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
		"voluntary_ctxt_switches:\t1\nnonvoluntary_ctxt_switches:\t2\n", "1 2 3", "cpu  1 2 3 4 5 6 7 8 9 10\n",
		"TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 7\n", "Pss:  12 kB\n", "nginx version: nginx/1.22.1\nconfigure arguments: --with-stream=dynamic",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if counts, err := parseCalls(text); err == nil && len(counts) == 0 {
			t.Error("nothing was counted, and no error")
		}
		_, _, _ = parseStat(text)
		_, _, _ = parseSwitches(text)
		_, _ = parseSchedstat(text)
		_, _ = parseMachine(text)
		_, _ = tcpPages(text)
		_, _ = kilobytes(text, "Pss")
		_, _, _ = nginxIn(text)
	})
}
