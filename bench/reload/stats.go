package reload

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// field asks the newest process for a number of "show info".
func (s *series) field(name string) (int, error) {
	c, err := net.DialTimeout("unix", s.stats, time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, "show info\n"); err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		return 0, err
	}
	return number(string(answer), name)
}

// number finds the line of a name in an answer of "name: number" lines.
func number(answer, name string) (int, error) {
	for line := range strings.Lines(answer) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("no %q in show info", name)
}
