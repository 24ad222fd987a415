package runtimeapi

import "strings"

// Run obeys one command for somebody who did not come through a socket, at a level, and returns the answer without the
// empty line that ends it. Several may run at once.
func (s *Server) Run(level Level, words ...string) string {
	client := &session{server: s, level: level}
	client.obey(words)
	return strings.TrimRight(client.answer.String(), "\n")
}
