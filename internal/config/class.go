package config

// Class says what becomes of a keyword that HAProxy knows. A word in no table is unknown.
type Class uint8

// The classes of keywords.
const (
	Implemented Class = iota + 1 // obeyed; also a keyword that is accepted because it changes nothing here
	HTTPOnly                     // a warning in TCP mode, as HAProxy gives
	NotYet                       // an error that says that Penstock does not implement it yet
	Removed                      // an error that says what replaced it
)

// argError is a mistake in the words of one line. Index counts the words from 0 (the keyword itself);
// Msg is what HAProxy would say after "parsing [file:line] : ", Code a stable name for programs.
type argError struct {
	Index   int
	Warning bool
	Code    string
	Msg     string
	Hint    string // one more sentence for people; may be empty
}
