package config

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bindParam is one parameter of bind and stats socket lines. A parameter without set has only to be skipped.
type bindParam struct {
	class Class
	args  int // words behind the keyword
	set   func(p *params, b *Bind)
}

// bindParams are all parameters of bind lines but those of TLS.
var bindParams = map[string]bindParam{
	"name":         {Implemented, 1, func(p *params, b *Bind) { b.Name = p.needValue("name") }},
	"id":           {Implemented, 1, setBindID},
	"maxconn":      {Implemented, 1, func(p *params, b *Bind) { b.MaxConn = p.needCount(">= 0") }},
	"backlog":      {Implemented, 1, func(p *params, b *Bind) { b.Backlog = p.needCount("> 0") }},
	"interface":    {Implemented, 1, func(p *params, b *Bind) { b.Interface = p.needValue("interface name") }},
	"transparent":  {Implemented, 0, func(_ *params, b *Bind) { b.Transparent = true }},
	"v4v6":         {Implemented, 0, func(_ *params, b *Bind) { b.V4V6 = true }},
	"v6only":       {Implemented, 0, func(_ *params, b *Bind) { b.V6Only = true }},
	"defer-accept": {Implemented, 0, func(_ *params, b *Bind) { b.DeferAccept = true }},
	"tfo":          {Implemented, 0, func(_ *params, b *Bind) { b.TFO = true }},
	"mss":          {Implemented, 1, setBindMSS},
	"tcp-ut":       {Implemented, 1, func(p *params, b *Bind) { b.TCPUserTimeout = p.userTimeout() }},
	"cc":           {Implemented, 1, func(p *params, b *Bind) { b.CC = p.needValue("algorithm name") }},
	"thread":       {Implemented, 1, func(p *params, b *Bind) { b.Threads = p.threadSet() }},

	"mode":  {Implemented, 1, setBindMode},
	"uid":   {Implemented, 1, func(p *params, b *Bind) { b.UID = p.number() }},
	"gid":   {Implemented, 1, func(p *params, b *Bind) { b.GID = p.number() }},
	"user":  {Implemented, 1, setBindUser},
	"group": {Implemented, 1, setBindGroup},

	"level":           {Implemented, 1, setBindLevel},
	"expose-fd":       {Implemented, 1, setBindExposeFD},
	"severity-output": {Implemented, 1, setBindSeverity},

	// Accepted: they change nothing here, or only how the work is spread inside HAProxy.
	"process":     {Implemented, 1, skipBindProcess},
	"nice":        {Implemented, 1, checkBindNice},
	"shards":      {Implemented, 1, checkBindShards},
	"proto":       {Implemented, 1, func(p *params, _ *Bind) { p.muxProto() }},
	"label":       {Implemented, 1, func(p *params, _ *Bind) { p.needValue("label") }},
	"guid-prefix": {Implemented, 1, func(p *params, _ *Bind) { p.guid() }},
	"idle-ping":   {Implemented, 1, func(p *params, _ *Bind) { p.delay("idle-ping", true) }},
	"nbconn":      {Implemented, 1, func(p *params, _ *Bind) { p.number() }},

	"accept-proxy":         {NotYet, 0, nil},
	"accept-netscaler-cip": {NotYet, 1, nil},
	"namespace":            {NotYet, 1, nil},
	"tcp-md5sig":           {NotYet, 1, nil},
	"tcp-ss":               {NotYet, 1, nil},
}

// bindTLS are the TLS parameters of bind lines with the number of their values.
var bindTLS = map[string]int{
	"ssl": 0, "crt": 1, "crt-list": 1, "default-crt": 1, "crt-ignore-err": 1, "ca-file": 1, "ca-ignore-err": 1,
	"ca-verify-file": 1, "ca-sign-file": 1, "ca-sign-pass": 1, "crl-file": 1, "ciphers": 1, "ciphersuites": 1,
	"client-sigalgs": 1, "sigalgs": 1, "curves": 1, "ecdhe": 1, "ech": 1, "alpn": 1, "no-alpn": 0, "npn": 1, "verify": 1,
	"strict-sni": 0, "no-strict-sni": 0, "no-ca-names": 0, "ssl-min-ver": 1, "ssl-max-ver": 1,
	"force-sslv3": 0, "force-tlsv10": 0, "force-tlsv11": 0, "force-tlsv12": 0, "force-tlsv13": 0,
	"no-sslv3": 0, "no-tlsv10": 0, "no-tlsv11": 0, "no-tlsv12": 0, "no-tlsv13": 0,
	"no-tls-tickets": 0, "tls-tickets": 0, "tls-ticket-keys": 1, "prefer-client-ciphers": 0,
	"generate-certificates": 0, "allow-0rtt": 0, "ktls": 1, "quic-cc-algo": 1, "quic-force-retry": 0, "quic-socket": 1,
}

// bindKeywords are the words that may stand on a bind line behind the address.
var bindKeywords = func() map[string]Class {
	table := make(map[string]Class, len(bindParams)+len(bindTLS))
	for word, k := range bindParams {
		table[word] = k.class
	}
	for word := range bindTLS {
		table[word] = NotYet
	}
	return table
}()

// parseBind reads a bind line, or with stats the words of a stats socket line from "socket" on; words[0]
// is the keyword. Mistakes of the keyword and the address (Index 0 and 1) are whole messages; those of
// the parameters want the prefix that bindMessage gives. The Bind is nil when the address is unusable.
func parseBind(words []string, stats bool, env func(string) (string, bool)) (*Bind, []argError) {
	if len(words) < 2 {
		msg := "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments."
		if stats {
			msg = "'stats socket' in global section expects an address or a path to a UNIX socket"
		}
		return nil, []argError{{Code: codeMissingValue, Msg: msg}}
	}
	b := &Bind{Words: words[1], Mode: -1, UID: -1, GID: -1}
	p := &params{words: words, env: env, pos: 1}
	addrs, err := parseAddresses(words[1], true, env)
	if err != nil {
		keyword := "bind"
		if stats {
			keyword = "stats socket"
		}
		p.failKeyword(errorCode(err), "'%s' : %s", keyword, err)
	}
	b.Addrs = addrs
	for p.pos = 2; p.pos < len(words); {
		word := words[p.pos]
		if values, ok := bindTLS[word]; ok {
			p.notYet(true)
			p.pos += 1 + values
			continue
		}
		k, ok := bindParams[word]
		if !ok {
			p.failKeyword(codeUnknownKeyword, "%s", unknownText(word, bindKeywords))
			break
		}
		if k.class == NotYet {
			p.notYet(false)
		} else {
			k.set(p, b)
		}
		p.pos += 1 + k.args
	}
	if err != nil {
		return nil, p.errs
	}
	return b, p.errs
}

// bindMessage is the whole message of a mistake that parseBind found in a line of the section.
func bindMessage(e argError, words []string, section string, stats bool) string {
	switch {
	case e.Index < 2:
		return e.Msg
	case stats && e.Code == codeUnknownKeyword:
		return "'stats socket' : " + e.Msg
	case stats:
		return "'stats socket' : '" + e.Msg + "'"
	case e.Code == codeUnknownKeyword:
		return fmt.Sprintf("'%s %s' in section '%s': %s", words[0], words[1], section, e.Msg)
	}
	return fmt.Sprintf("'%s %s' in section '%s' : %s", words[0], words[1], section, e.Msg)
}

// needValue is the keyword's value; what names it in the message when it is missing.
func (p *params) needValue(what string) string {
	v := p.arg(1)
	if v == "" {
		p.failKeyword(codeMissingValue, "'%s' : missing %s", p.words[p.pos], what)
	}
	return v
}

// number is the keyword's value read as atol reads it.
func (p *params) number() int {
	v := p.needValue("value")
	return parseAtol(v)
}

// needCount is number, not negative; wanted is how HAProxy words the limit.
func (p *params) needCount(wanted string) int {
	n := p.number()
	if n < 0 {
		p.failArg(1, codeInvalidValue, "'%s' : invalid value %d, must be %s", p.words[p.pos], n, wanted)
		return 0
	}
	return n
}

// userTimeout is the value of tcp-ut.
func (p *params) userTimeout() time.Duration {
	v := p.needValue("TCP User Timeout value")
	if v == "" {
		return 0
	}
	d, err := parseTime(v, time.Millisecond)
	if err == nil {
		return d
	}
	var ue *unitError
	if errors.As(err, &ue) && ue.overflow {
		p.failArg(1, codeInvalidValue, "%s", timeMessage(err, v, "tcp-ut"))
	} else {
		p.failArg(1, codeInvalidValue, "'tcp-ut' : expects a positive delay in milliseconds")
	}
	return 0
}

// delay is the value of a keyword that takes a time; zeroOK allows it to be 0.
func (p *params) delay(keyword string, zeroOK bool) time.Duration {
	v := p.arg(1)
	if v == "" {
		p.failKeyword(codeMissingValue, "'%s' expects a delay as argument.", keyword)
		return 0
	}
	d, err := parseTime(v, time.Millisecond)
	switch {
	case err != nil:
		p.failArg(1, codeInvalidValue, "%s", timeMessage(err, v, keyword))
	case d == 0 && !zeroOK:
		p.failArg(1, codeInvalidValue, "invalid value 0 for argument '%s'.", keyword)
	}
	return d
}

// muxProto checks the value of proto: in TCP mode only the pass-through is usable.
func (p *params) muxProto() {
	switch v := p.needValue("value"); v {
	case "", "none":
	case "h1", "h2", "fcgi", "quic", "spop":
		if p.words[p.pos] == "check-proto" {
			return // read like the other parameters of checks
		}
		p.failArg(1, codeInvalidValue, "MUX protocol '%s' is not usable in TCP mode", v)
	default:
		p.failArg(1, codeInvalidValue, "'%s' :  unknown MUX protocol '%s'", p.words[p.pos], v)
	}
}

// maxGUID is the longest name of an object for the statistics file.
const maxGUID = 127

func (p *params) guid() {
	if v := p.needValue("value"); len(v) > maxGUID {
		p.failArg(1, codeInvalidValue, "'%s' : too long (max %d)", p.words[p.pos], maxGUID)
	}
}

func setBindID(p *params, b *Bind) {
	v := p.arg(1)
	n, err := strconv.Atoi(v)
	switch {
	case v == "":
		p.failKeyword(codeMissingValue, "'id' : expects an integer argument")
	case err != nil:
		p.failArg(1, codeInvalidValue, "'id' : expects an integer argument, found '%s'", v)
	case n <= 0:
		p.failArg(1, codeInvalidValue, "'id' : custom id has to be > 0")
	case len(b.Addrs) > 1:
		p.failKeyword(codeNotAllowedHere, "'id' can only be used with a single socket")
	default:
		b.ID = n
	}
}

func setBindMSS(p *params, b *Bind) {
	v := p.needValue("MSS value")
	if v == "" {
		return
	}
	n := parseAtol(v)
	if n == 0 || n > 65535 || n < -65535 {
		p.failArg(1, codeInvalidValue, "'mss' : expects an MSS with and absolute value between 1 and 65535")
		return
	}
	b.MSS = n
}

func setBindMode(p *params, b *Bind) {
	n, err := strconv.ParseUint(p.arg(1), 8, 12)
	if err != nil {
		p.failArg(1, codeInvalidValue, "'mode' : missing or invalid mode '%s' (octal integer expected)", p.arg(1))
		return
	}
	b.Mode = int(n)
}

func setBindUser(p *params, b *Bind) {
	name := p.needValue("user name")
	if name == "" {
		return
	}
	u, err := user.Lookup(name)
	if err != nil {
		p.failArg(1, codeInvalidValue, "'user' : unknown user name '%s'", name)
		return
	}
	b.UID = parseAtol(u.Uid)
}

func setBindGroup(p *params, b *Bind) {
	name := p.needValue("group name")
	if name == "" {
		return
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		p.failArg(1, codeInvalidValue, "'group' : unknown group name '%s'", name)
		return
	}
	b.GID = parseAtol(g.Gid)
}

func setBindLevel(p *params, b *Bind) {
	switch v := p.needValue("level"); v {
	case "":
	case "user", "operator", "admin":
		b.Level = v
	default:
		p.failArg(1, codeInvalidValue, "'level' only supports 'user', 'operator', and 'admin' (got '%s')", v)
	}
}

func setBindExposeFD(p *params, b *Bind) {
	switch v := p.needValue("fd type"); v {
	case "":
	case "listeners":
		b.ExposeFD = true
	default:
		p.failArg(1, codeInvalidValue, "'expose-fd' only supports 'listeners' (got '%s')", v)
	}
}

func setBindSeverity(p *params, b *Bind) {
	switch v := p.needValue("severity format"); v {
	case "":
	case "none", "number", "string":
		b.SeverityOut = v
	default:
		p.failArg(1, codeInvalidValue, "'severity-output' only supports 'none', 'number', and 'string' (got '%s')", v)
	}
}

func checkBindNice(p *params, _ *Bind) {
	if n := p.number(); n < -1024 || n > 1024 {
		p.failArg(1, codeInvalidValue, "'nice' : invalid value %d, allowed range is -1024..1024", n)
	}
}

func checkBindShards(p *params, _ *Bind) {
	v := p.needValue("value")
	if v == "" || v == "by-thread" || v == "by-group" {
		return
	}
	if n := parseAtol(v); n < 1 || n > maxThreads {
		p.failArg(1, codeInvalidValue, "'shards' : invalid value %d, allowed range is 1..%d or 'by-thread'", n, maxThreads)
	}
}

// skipBindProcess reads the old word for thread. The process number before the slash has no meaning any more.
func skipBindProcess(p *params, b *Bind) {
	v := p.arg(1)
	process, set, ok := strings.Cut(v, "/")
	if !ok {
		set = "all"
	}
	if list, ok := parseNumberSet(process); !ok || len(list) > 0 && list[0] != 1 {
		p.failArg(1, codeInvalidValue, "'process' : '%s' is not a valid number/range. It supports numbers from 1 to 1.", process)
		return
	}
	list, ok := parseNumberSet(set)
	if !ok {
		p.failArg(1, codeInvalidValue, "'process' : '%s' is not a valid number/range. It supports numbers from 1 to %d.", set, maxThreads)
		return
	}
	b.Threads = list
	p.warn(codeDeprecated, "'process %s' on 'bind' lines is deprecated, use 'thread %s' instead.", v, set)
}

// maxThreads is the largest thread number that a configuration may name.
const maxThreads = 64

// threadSet is the value of thread: sets with commas, each with an optional group before a slash. There is one group.
// The result is sorted and empty for all threads.
func (p *params) threadSet() []int {
	var threads []int
	all := false
	for _, part := range strings.Split(p.arg(1), ",") {
		group, set, grouped := strings.Cut(part, "/")
		if !grouped {
			set = part
		} else if group != "1" && group != "all" {
			p.failArg(1, codeInvalidValue, "'%s' thread-group number must be between 1 and 1 (was %d)", part, parseAtol(group))
			return nil
		}
		list, ok := parseNumberSet(set)
		if !ok {
			p.failArg(1, codeInvalidValue, "'thread' : '%s' is not a valid number/range. It supports numbers from 1 to %d.", set, maxThreads)
			return nil
		}
		all = all || len(list) == 0
		threads = append(threads, list...)
	}
	if all {
		return nil
	}
	slices.Sort(threads)
	return slices.Compact(threads)
}

// parseNumberSet reads all, odd, even, N, N-M or N- with numbers from 1 to maxThreads. All gives an empty list.
func parseNumberSet(s string) ([]int, bool) {
	low, high, step := 1, maxThreads, 1
	switch s {
	case "all":
		return nil, true
	case "odd":
		step = 2
	case "even":
		low, step = 2, 2
	default:
		first, last, isRange := strings.Cut(s, "-")
		n, err := strconv.Atoi(first)
		if err != nil || n < 1 || n > maxThreads {
			return nil, false
		}
		low = n
		switch {
		case !isRange:
			high = n
		case last != "":
			m, err := strconv.Atoi(last)
			if err != nil || m < 1 || m > maxThreads {
				return nil, false
			}
			low, high = min(n, m), max(n, m)
		}
	}
	var list []int
	for n := low; n <= high; n += step {
		list = append(list, n)
	}
	return list, true
}
