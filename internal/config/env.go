package config

// environ is the environment that a configuration sees: the one it was given, under the changes that
// the configuration itself makes.
type environ struct {
	base    func(string) (string, bool)
	changes map[string]change
	only    map[string]bool // after resetenv: the names of base that are kept; nil keeps all
}

type change struct {
	value string
	unset bool
}

func newEnviron(base func(string) (string, bool)) *environ {
	return &environ{base: base, changes: make(map[string]change)}
}

func (e *environ) lookup(name string) (string, bool) {
	if c, ok := e.changes[name]; ok {
		return c.value, !c.unset
	}
	if e.base == nil || e.only != nil && !e.only[name] {
		return "", false
	}
	return e.base(name)
}

func (e *environ) set(name, value string) { e.changes[name] = change{value: value} }

func (e *environ) preset(name, value string) {
	if _, ok := e.lookup(name); !ok {
		e.set(name, value)
	}
}

func (e *environ) unset(name string) { e.changes[name] = change{unset: true} }

// reset drops every variable but the named ones.
func (e *environ) reset(keep []string) {
	only := make(map[string]bool, len(keep))
	changes := make(map[string]change, len(keep))
	for _, name := range keep {
		if e.only == nil || e.only[name] {
			only[name] = true
		}
		if c, ok := e.changes[name]; ok {
			changes[name] = c
		}
	}
	e.only, e.changes = only, changes
}
