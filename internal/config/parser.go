package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxFatal is how many mistakes of one file are reported before the rest of it is left unread.
const maxFatal = 50

// Options say what to load and what the configuration sees.
type Options struct {
	Files           []string                    // files and directories, in order; of a directory, its *.cfg
	Env             func(string) (string, bool) // the environment; nil: empty
	Version         string                      // HAPROXY_STARTUP_VERSION; empty: CompatibleVersion
	Branch          string                      // HAPROXY_BRANCH; empty: that of CompatibleVersion
	LocalPeer       string                      // the name given on the command line, else the host's
	LocalPeerForced bool                        // LocalPeer is from the command line: a localpeer line is ignored
	DiagMode        bool                        // collect Diag findings too
}

// Load reads the files and folders of opt and returns what they mean, with every finding about them.
// When Diagnostics.Fatal is true the Config is incomplete and must not be used. Without any file (an
// empty directory has none) the Config is empty and its Files too.
func Load(opt Options) (*Config, *Diagnostics) {
	p := newParser(opt)
	for _, name := range p.files(opt.Files) {
		text, err := os.ReadFile(name)
		if err != nil {
			p.cannotOpen(name, err)
			continue
		}
		p.readFile(name, string(text))
	}
	return p.finish()
}

// LoadText reads a configuration from text as if it were the only file, called name.
func LoadText(name, text string, opt Options) (*Config, *Diagnostics) {
	p := newParser(opt)
	p.readFile(name, text)
	return p.finish()
}

// modifier is the word before a keyword.
type modifier uint8

const (
	modNone modifier = iota
	modNo
	modDefault
)

// stmt is one line being obeyed: its words after the modifier.
type stmt struct {
	words []word
	mod   modifier
}

// arg is word i, or nothing when there is none.
func (s *stmt) arg(i int) string {
	if i >= len(s.words) {
		return ""
	}
	return s.words[i].text
}

func (s *stmt) keyword() string { return s.words[0].text }

// texts are the words from i on.
func (s *stmt) texts(i int) []string {
	if i >= len(s.words) {
		return nil
	}
	out := make([]string, 0, len(s.words)-i)
	for _, w := range s.words[i:] {
		out = append(out, w.text)
	}
	return out
}

// rest are the words from i on with one space between two.
func (s *stmt) rest(i int) string { return strings.Join(s.texts(i), " ") }

// sectionKind is what the current section is, as far as its lines are concerned.
type sectionKind uint8

const (
	secNone sectionKind = iota
	secGlobal
	secProxy // defaults, frontend, backend, listen
	secSkip  // known, its lines are not read
)

// parser is one run over all files.
type parser struct {
	opt   Options
	env   *environ
	diags *Diagnostics
	cfg   *Config
	lex   lexer

	kind   sectionKind
	px     *proxyState         // the current proxy or defaults section
	source string              // the current line
	lines  map[string][]string // of every file, its lines
	words  []word              // its words; the array is used again for the next line
	fatal  int                 // alerts of the current file

	proxies  []*proxyState
	byName   map[string]*proxyState
	defNamed map[string][]*proxyState // those with a name
	lastDef  *proxyState
	forced   map[int]*proxyState // proxies by forced id

	userSet  bool // user or uid was given
	groupSet bool
	unix     unixDefaults
	conds    []condState
}

func newParser(opt Options) *parser {
	if opt.Version == "" {
		opt.Version = CompatibleVersion
	}
	if opt.Branch == "" {
		opt.Branch = CompatibleVersion[:strings.LastIndexByte(CompatibleVersion, '.')]
	}
	p := &parser{
		opt: opt, env: newEnviron(opt.Env), diags: &Diagnostics{}, cfg: &Config{Global: newGlobal()},
		byName: make(map[string]*proxyState), defNamed: make(map[string][]*proxyState),
		forced: make(map[int]*proxyState), lines: make(map[string][]string), unix: unixDefaults{mode: -1, uid: -1, gid: -1},
	}
	p.cfg.Global.LocalPeer = opt.LocalPeer
	p.lex.env = p.env
	p.lastDef = &proxyState{isDefaults: true, Proxy: newProxy(), def: newDefaultServer()}
	for name, value := range map[string]string{
		"HAPROXY_LOCALPEER":        opt.LocalPeer,
		"HAPROXY_STARTUP_VERSION":  opt.Version,
		"HAPROXY_BRANCH":           opt.Branch,
		"HAPROXY_TCP_LOG_FMT":      TCPLogFormat,
		"HAPROXY_TCP_CLF_LOG_FMT":  TCPLogCLFFormat,
		"HAPROXY_HTTP_LOG_FMT":     httpLogFormat,
		"HAPROXY_HTTP_CLF_LOG_FMT": httpLogCLFFormat,
		"HAPROXY_HTTPS_LOG_FMT":    httpsLogFormat,
	} {
		p.env.set(name, value)
	}
	return p
}

// files replaces directories by the configuration files in them.
func (p *parser) files(names []string) []string {
	var out []string
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || !info.IsDir() {
			out = append(out, name)
			continue
		}
		entries, err := os.ReadDir(name) // sorted by byte values
		if err != nil {
			p.cannotOpen(name, err)
			continue
		}
		for _, e := range entries {
			base := e.Name()
			if strings.HasPrefix(base, ".") || !strings.HasSuffix(base, ".cfg") {
				continue
			}
			path := filepath.Join(name, base)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				out = append(out, path)
			}
		}
	}
	return out
}

func (p *parser) cannotOpen(name string, err error) {
	cause := err.Error()
	var errno syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist):
		cause = "No such file or directory"
	case errors.Is(err, fs.ErrPermission):
		cause = "Permission denied"
	case errors.As(err, &errno):
		cause = errno.Error()
	}
	p.diags.add(Diagnostic{
		File: name, Severity: Alert, Code: "cannot-open",
		Message: fmt.Sprintf("Cannot open configuration file/directory %s : %s", name, cause),
	})
}

// readFile reads one file. A section does not go on in the next one.
func (p *parser) readFile(name, text string) {
	p.cfg.Files = append(p.cfg.Files, name)
	p.endSection()
	p.conds = p.conds[:0]
	p.lex.file, p.lex.line, p.lex.section = name, 0, ""
	p.fatal = 0
	for len(text) > 0 && p.fatal < maxFatal {
		line, rest, ended := strings.Cut(text, "\n")
		text = rest
		p.lex.line++
		p.source = line
		p.lines[name] = append(p.lines[name], line)
		if n := strings.IndexByte(line, 0); n >= 0 {
			p.report(Alert, placeTight, n+1, n+2, "nul", fmt.Sprintf("Stray NUL character at position %d.", n+1), "")
			continue
		}
		p.readLine(line)
		if !ended {
			p.report(Warning, placeTight, len(line)+1, len(line)+2, "missing-lf",
				fmt.Sprintf("Missing LF on last line, file might have been truncated at position %d.", len(line)+1),
				"HAProxy refuses such a file; end its last line with a line feed")
		}
	}
	if p.fatal >= maxFatal {
		p.report(Alert, placeTight, 0, 0, "too-many-errors", fmt.Sprintf("too many fatal errors (%d), stopping now.", p.fatal), "")
	} else if len(p.conds) > 0 {
		p.report(Alert, placeTight, 0, 0, "cond-open", "non-terminated '.if' block.", "close it with .endif")
	}
	if p.fatal > 0 {
		p.diags.add(Diagnostic{
			File: name, Severity: Alert, Code: "file-errors", place: placeContinue,
			Message: "Error(s) found in configuration file : " + name,
		})
	}
	p.endSection()
}

func (p *parser) endSection() {
	p.kind, p.px = secNone, nil
	p.lex.section = ""
}

// report adds a finding about the current line; col 0 means the line as a whole.
func (p *parser) report(s Severity, at place, col, end int, code, msg, hint string) {
	switch s {
	case Alert:
		p.fatal++
	case Diag:
		if !p.opt.DiagMode {
			return
		}
	}
	p.diags.add(Diagnostic{
		File: p.lex.file, Line: p.lex.line, Col: col, EndCol: end,
		Severity: s, Code: code, Message: msg, Hint: hint, place: at, source: p.source,
	})
}

// at adds a finding about word i of s; when there is no such word, about the place after the last.
func (p *parser) at(s *stmt, i int, sev Severity, where place, code, msg, hint string) {
	col, end := 0, 0
	switch {
	case i < len(s.words):
		col, end = s.words[i].col, s.words[i].end
	case len(s.words) > 0:
		col = s.words[len(s.words)-1].end
		end = col + 1
	}
	p.report(sev, where, col, end, code, msg, hint)
}

// alert reports an error at word i, in the usual form.
func (p *parser) alert(s *stmt, i int, code, format string, args ...any) {
	p.at(s, i, Alert, placeSpaced, code, fmt.Sprintf(format, args...), "")
}

// alertTight is alert in the form without a blank before the colon.
func (p *parser) alertTight(s *stmt, i int, code, format string, args ...any) {
	p.at(s, i, Alert, placeTight, code, fmt.Sprintf(format, args...), "")
}

func (p *parser) warn(s *stmt, i int, code, format string, args ...any) {
	p.at(s, i, Warning, placeSpaced, code, fmt.Sprintf(format, args...), "")
}

// pos is the position of word i.
func (p *parser) pos(s *stmt, i int) Pos {
	w := s.words[min(i, len(s.words)-1)]
	return Pos{File: p.lex.file, Line: p.lex.line, Col: w.col, EndCol: w.end}
}

// tooMany reports an argument after the n-th; the keyword is made of the first keywords words.
func (p *parser) tooMany(s *stmt, n, keywords int) bool {
	if len(s.words) <= n+keywords {
		return false
	}
	name := s.keyword()
	for _, w := range s.words[1:keywords] {
		name += " " + w.text
	}
	p.alert(s, n+keywords, codeUnexpectedWord, "'%s' cannot handle unexpected argument '%s'.", name, s.arg(n+keywords))
	return true
}

// readLine reads one line.
func (p *parser) readLine(line string) {
	words, err := p.lex.split(p.words[:0], line)
	p.words = words
	if err != nil {
		if err.code != "empty-word" || !p.skipping() {
			p.report(Alert, placeTight, err.col, err.end, err.code, err.msg, err.hint)
		}
		return
	}
	if len(words) == 0 {
		return
	}
	s := &stmt{words: words}
	if strings.HasPrefix(s.keyword(), ".") {
		if p.directive(s) {
			return
		}
	}
	if p.skipping() {
		return
	}
	switch s.keyword() {
	case "no":
		s.mod = modNo
	case "default":
		s.mod = modDefault
	}
	if s.mod != modNone {
		s.words = s.words[1:]
		if len(s.words) == 0 || !negatable[s.keyword()] {
			p.report(Alert, placeTight, words[0].col, words[0].end, "negation",
				"negation/default currently supported only for options, log, busy-polling, set-dumpable, "+
					"strict-limits, insecure-fork-wanted and numa-cpu-mapping.", "")
			return
		}
	}
	if start, ok := sections[s.keyword()]; ok {
		p.endSection()
		p.lex.section = s.keyword()
		start(p, s)
		return
	}
	switch p.kind {
	case secGlobal:
		p.globalStatement(s)
	case secProxy:
		p.proxyStatement(s)
	case secNone:
		p.alertTight(s, 0, "out-of-section", "unknown keyword '%s' out of section.", s.keyword())
	}
}

// negatable are the keywords that take no or default before them.
var negatable = map[string]bool{
	"option": true, "log": true, "busy-polling": true, "set-dumpable": true, "strict-limits": true,
	"insecure-fork-wanted": true, "insecure-setuid-wanted": true, "numa-cpu-mapping": true,
}

// sections are the words that open a section.
var sections map[string]func(*parser, *stmt)

func init() {
	sections = map[string]func(*parser, *stmt){
		"global": (*parser).startGlobal, "defaults": (*parser).startProxy, "frontend": (*parser).startProxy,
		"backend": (*parser).startProxy, "listen": (*parser).startProxy,
	}
	for _, name := range []string{"peers", "resolvers", "mailers", "ring", "log-forward", "log-profile", "healthcheck", "dynamic-update", "haterm"} {
		sections[name] = (*parser).startUnsupported
	}
	for _, name := range []string{
		"userlist", "traces", "cache", "http-errors", "fcgi-app", "crt-store", "acme", "program", "namespace_list",
	} {
		sections[name] = (*parser).startIgnored
	}
}

func (p *parser) startGlobal(s *stmt) {
	p.kind = secGlobal
	p.tooMany(s, 0, 1)
}

func (p *parser) startUnsupported(s *stmt) {
	p.kind = secSkip
	p.at(s, 0, Alert, placeSpaced, codeNotImplemented,
		fmt.Sprintf("the '%s' section is not implemented yet by Penstock (HAProxy knows it)", s.keyword()),
		"take the section away, or keep HAProxy for what needs it")
}

func (p *parser) startIgnored(s *stmt) {
	p.kind = secSkip
	p.at(s, 0, Warning, placeSpaced, "section-ignored",
		fmt.Sprintf("the '%s' section is ignored: it has no use in TCP mode.", s.keyword()), "")
}

// notYet is the message about a keyword that HAProxy obeys and Penstock cannot.
func notYet(name string) string {
	return fmt.Sprintf("'%s' is not implemented yet by Penstock (HAProxy knows it)", name)
}

// argErrors reports the mistakes that a parser of words found. base is the index in s of the first
// word that was handed to it; whole makes the message.
func (p *parser) argErrors(s *stmt, base int, errs []argError, where place, whole func(argError) string) (fatal bool) {
	for _, e := range errs {
		severity := Alert
		if e.Warning {
			severity = Warning
		} else {
			fatal = true
		}
		p.at(s, base+e.Index, severity, where, e.Code, whole(e), e.Hint)
	}
	return fatal
}

// line is the source line of a place.
func (p *parser) line(pos Pos) string {
	if lines := p.lines[pos.File]; pos.Line >= 1 && pos.Line <= len(lines) {
		return lines[pos.Line-1]
	}
	return ""
}

// message is the message of a mistake whose text is whole already.
func (e argError) message() string { return e.Msg }

// finish makes the checks that need the whole configuration and hands out the result.
func (p *parser) finish() (*Config, *Diagnostics) {
	p.source = ""
	p.validate()
	if p.diags.Fatal() {
		p.diags.add(Diagnostic{
			Severity: Alert, Code: "fatal", place: placeContinue, Message: "Fatal errors found in configuration.",
		})
	}
	for _, px := range p.proxies {
		p.cfg.Proxies = append(p.cfg.Proxies, &px.Proxy)
	}
	return p.cfg, p.diags
}

// sortedKeys are the keys of a table in order, so that the nearest word is always the same one.
func sortedKeys[V any](table map[string]V, more ...string) []string {
	keys := slices.AppendSeq(slices.Clone(more), maps.Keys(table))
	slices.Sort(keys)
	return keys
}
