package config

// flag reads an http-check line that is no step of the check, and reports whether it is one.
func (l *checkWords) flag() bool {
	check := &l.p.px.Check
	flag := map[string]*bool{"disable-on-404": &check.HTTP404, "send-state": &check.SendState}[l.s.arg(1)]
	if flag == nil {
		return false
	}
	if !l.p.tooMany(l.s, 0, 2) {
		*flag = true
	}
	return true
}
