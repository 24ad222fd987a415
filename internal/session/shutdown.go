package session

// Why sessions are ended by the state of servers: the first letter of their termination code.
const (
	ServerDown byte = 'D' // their server went down
	ServerUp   byte = 'U' // an active server came up, and theirs is a backup
)

// Shutdown ends the sessions that hold a slot of a server, by its number in the backend, or with server -1 of any
// backup server. why is their cause unless they have one.
func (t *Table) Shutdown(be int, server int32, why byte) {
	for id := range t.slots.Cap() {
		s := t.slots.At(id)
		if s.state == stateFree || s.state == stateLeaving || int(s.be) != be || s.flags&slotHeld == 0 {
			continue
		}
		if server >= 0 && s.srv != server || server < 0 && !t.Proxies[be].Backend.Server(int(s.srv)).Backup {
			continue
		}
		if s.term[0] == 0 {
			s.term = [2]byte{why, 'C'}
		}
		t.end(id, s)
	}
}
