package top

import (
	"fmt"
	"regexp"
	"unicode/utf8"
)

// What a key means depends on the mode:
//
//	                 /           Enter takes it, Escape takes the former one
//	          ┌───────────> filtering ─────────────────────────────────┐
//	          │      ?           any key                               │
//	          ├───────────> helping ───────────────────────────────────┤
//	          │    Enter          Enter, Escape                        v
//	browsing ─┼───────────> looking ───────────────────────────────> browsing
//	          │                │  d m r k w
//	          │  d m r k       v
//	          ├───────────> asking ──── y: the order is given; any other key: it is not ──> where it was asked
//	          │     w              ^
//	          └───────────> weighing ── Enter; Escape leaves ──> where it was asked
//
// What an order is about is fixed when its key is pressed: the table may move under the question.
type mode int

const (
	browsing mode = iota
	looking       // at one server or session
	filtering
	weighing
	asking
	helping
)

// key is a character, or one of those that have none.
type key rune

const (
	keyCtrlC     key = 3
	keyCtrlD     key = 4
	keyTab       key = '\t'
	keyEnter     key = '\r'
	keyCtrlL     key = 12
	keyCtrlU     key = 21
	keyEscape    key = 27
	keyBackspace key = 127
	keyUp        key = iota + utf8.MaxRune
	keyDown
	keyLeft
	keyRight
	keyPageUp
	keyPageDown
	keyHome
	keyEnd
	keyBackTab
	keyUnknown
)

// sequences are what follows ESC [ or ESC O.
var sequences = map[string]key{
	"A": keyUp, "B": keyDown, "C": keyRight, "D": keyLeft, "H": keyHome, "F": keyEnd, "1~": keyHome, "7~": keyHome,
	"4~": keyEnd, "8~": keyEnd, "5~": keyPageUp, "6~": keyPageDown, "Z": keyBackTab,
}

// decode reads keys from what a terminal sent. The rest is the begin of a sequence that has not come whole.
func decode(input []byte) (keys []key, rest []byte) {
	for len(input) > 0 {
		c := input[0]
		switch {
		case c == 27 && len(input) == 1:
			return keys, input
		case c == 27 && (input[1] == '[' || input[1] == 'O'):
			end := 2
			for end < len(input) && (input[end] < '@' || input[end] > '~') {
				end++
			}
			if end == len(input) {
				if end > 32 { // no key is that long
					return keys, nil
				}
				return keys, input
			}
			k, known := sequences[string(input[2:end+1])]
			if !known {
				k = keyUnknown
			}
			keys, input = append(keys, k), input[end+1:]
		case c == 27:
			keys, input = append(keys, keyEscape), input[1:]
		case c == 8:
			keys, input = append(keys, keyBackspace), input[1:]
		case c == '\n':
			keys, input = append(keys, keyEnter), input[1:]
		default:
			if !utf8.FullRune(input) {
				return keys, input
			}
			r, n := utf8.DecodeRune(input)
			if r == utf8.RuneError {
				r = rune(keyUnknown)
			}
			keys, input = append(keys, key(r)), input[n:]
		}
	}
	return keys, nil
}

// effect is what a key asks of the world outside of the model.
type effect struct {
	quit    bool
	refresh bool   // now, since something else is shown
	repaint bool   // the whole screen
	command string // to give to the process
	name    string // of that, for the user
}

// press changes the model by a key.
func (m *Model) press(k key) effect {
	if k == keyCtrlC {
		return effect{quit: true}
	}
	if k == keyCtrlL {
		return effect{repaint: true}
	}
	if m.mode != asking && m.mode != weighing {
		m.Say("", false)
	}
	switch m.mode {
	case filtering:
		m.pressFilter(k)
	case weighing:
		m.pressWeight(k)
	case asking:
		m.mode = m.back
		if k == 'y' || k == 'Y' {
			return effect{command: m.wish.command, name: m.wish.question}
		}
		m.Say("not done", false)
	case helping:
		if m.scrolled(k) {
			return effect{}
		}
		m.mode, m.scroll = browsing, 0
	case looking:
		if m.order(k) || m.scrolled(k) {
			return effect{}
		}
		if k == keyEnter || k == keyEscape || k == 'q' {
			m.mode, m.scroll = browsing, 0
			return effect{refresh: m.view == Sessions}
		}
	default:
		return m.browse(k)
	}
	return effect{}
}

// browse obeys a key in a table.
func (m *Model) browse(k key) effect {
	if m.order(k) {
		return effect{}
	}
	switch k {
	case 'q', keyCtrlD:
		return effect{quit: true}
	case '?', 'h':
		m.mode, m.scroll = helping, 0
	case '1', '2', '3', '4', '5':
		return m.show(View(k-'1'), nil)
	case keyTab, keyRight:
		return m.show((m.view+1)%views, nil)
	case keyBackTab, keyLeft:
		return m.show((m.view+views-1)%views, nil)
	case 's':
		if i, ok := m.chosen(); ok && i.row != nil && i.row.Kind == Server {
			if plainName(i.row.Proxy) && plainName(i.row.Name) {
				return m.show(Sessions, i.row)
			}
		}
	case keyEscape:
		if m.view == Sessions && m.of != nil {
			return m.show(Servers, nil)
		}
		m.filter = nil
	case '/':
		m.mode, m.former, m.typed = filtering, m.filter, ""
		if m.filter != nil {
			m.typed = m.filter.String()
		}
	case '<', '>':
		o, n := &m.orders[m.view], len(tables[m.view])
		o.reverse = false
		if k == '>' {
			o.column = (o.column+2)%(n+1) - 1
		} else {
			o.column = (o.column+1+n)%(n+1) - 1
		}
	case 'R':
		m.orders[m.view].reverse = !m.orders[m.view].reverse
	case ' ':
		return effect{refresh: true}
	case keyEnter:
		if i, ok := m.chosen(); ok && (i.session != nil || i.row.Kind == Server) {
			m.mode, m.detailed, m.scroll = looking, i, 0
			return effect{refresh: i.session != nil}
		}
	case keyUp:
		m.move(-1)
	case keyDown:
		m.move(1)
	case keyPageUp:
		m.move(-max(m.page, 1))
	case keyPageDown:
		m.move(max(m.page, 1))
	case keyHome, 'g':
		m.move(-1 << 30)
	case keyEnd, 'G':
		m.move(1 << 30)
	}
	return effect{}
}

// show changes the view.
func (m *Model) show(v View, of *Row) effect {
	was, wasOf := m.view, m.of
	m.view, m.of = v, of
	return effect{refresh: v == Sessions && (was != v || wasOf != of)}
}

// order begins an order for what is selected or looked at, when the key is one.
func (m *Model) order(k key) bool {
	states := map[key]string{'d': "drain", 'm': "maint", 'r': "ready"}
	if k != 'k' && k != 'w' && states[k] == "" {
		return false
	}
	i, ok := m.detailed, true
	if m.mode != looking {
		i, ok = m.chosen()
	}
	if !ok {
		return m.view != Sessions || k == 'k'
	}
	if i.session != nil {
		if k == 'k' {
			m.ask("shut down session "+i.session.ID+" of "+i.session.Client, "shutdown session "+i.session.ID)
		}
		return true
	}
	if i.row.Kind != Server || k == 'k' {
		m.Say("that is for a "+map[bool]string{true: "session", false: "server"}[k == 'k'], true)
		return true
	}
	name := i.row.Proxy + "/" + i.row.Name
	switch {
	case !plainName(i.row.Proxy) || !plainName(i.row.Name):
		m.Say("the name of this server cannot be part of a command", true)
	case k == 'w':
		m.back, m.mode, m.typed = m.mode, weighing, ""
		m.wish = wish{question: "weight of " + name, command: "set server " + name + " weight "}
	default:
		m.ask(states[k]+" "+name, "set server "+name+" state "+states[k])
	}
	return true
}

// ask puts an order to the user.
func (m *Model) ask(question, command string) {
	if m.mode != weighing {
		m.back = m.mode
	}
	m.mode, m.wish = asking, wish{question, command}
}

func (m *Model) pressWeight(k key) {
	switch {
	case k == keyEscape:
		m.mode = m.back
	case k == keyEnter && m.typed != "":
		m.ask(m.wish.question+" = "+m.typed, m.wish.command+m.typed)
	case k == keyEnter:
		m.mode = m.back
	case k >= '0' && k <= '9' && len(m.typed) < 6, k == '%' && m.typed != "":
		if m.typed == "" || m.typed[len(m.typed)-1] != '%' {
			m.typed += string(rune(k))
		}
	default:
		m.edit(k)
	}
}

func (m *Model) pressFilter(k key) {
	switch {
	case k == keyEscape:
		m.mode, m.filter = browsing, m.former
		return
	case k == keyEnter:
		if re, err := regexp.Compile(m.typed); err != nil {
			m.Say(fmt.Sprintf("no filter: %v", err), true)
			return
		} else if m.filter = re; m.typed == "" {
			m.filter = nil
		}
		m.mode = browsing
		return
	case k >= ' ' && k <= '~' && len(m.typed) < 200:
		m.typed += string(rune(k))
	default:
		m.edit(k)
	}
	if re, err := regexp.Compile(m.typed); err == nil { // what is typed shows at once
		m.filter = re
	}
}

func (m *Model) edit(k key) {
	switch {
	case k == keyBackspace && m.typed != "":
		m.typed = m.typed[:len(m.typed)-1]
	case k == keyCtrlU:
		m.typed = ""
	}
}

// scrolled moves a text that is longer than the screen, when the key asks for it.
func (m *Model) scrolled(k key) bool {
	step, found := map[key]int{keyUp: -1, keyDown: 1, keyPageUp: -max(m.page, 1), keyPageDown: max(m.page, 1), ' ': max(m.page, 1), keyHome: -1 << 30}[k]
	m.scroll = max(m.scroll+step, 0) // the end is known when it is shown
	return found
}

// prompt is the line at the bottom while something is asked.
func (m *Model) prompt() string {
	switch m.mode {
	case filtering:
		return "filter: " + m.typed
	case weighing:
		return m.wish.question + " (0-256 or a percentage): " + m.typed
	case asking:
		return m.wish.question + "? [y/N]"
	}
	return ""
}
