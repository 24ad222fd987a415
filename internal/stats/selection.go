package stats

// Selection says which rows are wanted.
type Selection struct {
	Proxy   int  // its number; below 0: all
	Types   int  // a bit for each Object
	ID      int  // of servers and listeners; below 0: all
	NoMaint bool // no servers in maintenance
	Up      bool // no servers that are down or in maintenance
}

// Everything selects all rows.
var Everything = Selection{Proxy: -1, Types: -1, ID: -1}

// Wants reports whether rows of an object are selected.
func (s Selection) Wants(o Object) bool { return s.Types>>o&1 != 0 }

// WantsID reports whether a server or listener is selected.
func (s Selection) WantsID(id int) bool { return s.ID < 0 || s.ID == id }
