package config

import (
	"strconv"
	"strings"
)

// parseBalance reads a balance line.
func parseBalance(p *parser, s *stmt) {
	px := p.px
	name := s.arg(1)
	if name == "" {
		px.Balance.Algorithm = RoundRobin
		return
	}
	word, argument, call := strings.Cut(name, "(")
	draws := 2
	algorithm := RoundRobin
	switch word {
	case "roundrobin":
		algorithm = RoundRobin
	case "static-rr":
		algorithm = StaticRR
	case "leastconn":
		algorithm = LeastConn
	case "first":
		algorithm = First
	case "source":
		algorithm = SourceHash
	case "random":
		algorithm = Random
		if call {
			digits, ok := strings.CutSuffix(argument, ")")
			n, err := strconv.Atoi(digits)
			switch {
			case !ok && strings.Trim(argument, "0123456789") == "":
				p.alert(s, 1, codeInvalidValue, "balance random : missing closing parenthesis.")
				return
			case !ok || err != nil:
				p.alert(s, 1, codeInvalidValue, "balance random : unexpected character '%.1s' after argument.", strings.TrimLeft(argument, "0123456789"))
				return
			case n < 1:
				p.alert(s, 1, codeInvalidValue, "balance random : number of draws must be at least 1.")
				return
			}
			draws, call = n, false
		}
	case "hash":
		if len(s.words) < 3 {
			p.alert(s, 2, codeMissingValue, "balance hash requires a sample expression.")
			return
		}
		p.at(s, 1, Alert, placeSpaced, codeNotImplemented, notYet("balance hash"), "'balance source' hashes the client's address")
		return
	case "rdp-cookie", "sticky":
		p.at(s, 1, Alert, placeSpaced, codeNotImplemented, notYet("balance "+word), "")
		return
	case "uri", "url_param", "hdr", "log-hash":
		px.Balance.Algorithm, px.layer7 = RoundRobin, p.pos(s, 1)
		return
	default:
		call = true
	}
	if call {
		p.alert(s, 1, codeInvalidValue, "balance only supports 'roundrobin', 'static-rr', 'leastconn', 'source', 'uri', 'url_param', 'hash', "+
			"'hdr(name)', 'rdp-cookie(name)', 'log-hash' and 'sticky' options.")
		return
	}
	px.Balance.Algorithm, px.Balance.Draws, px.Balance.Pos = algorithm, draws, p.pos(s, 1)
	px.layer7 = Pos{}
}

// parseHashType reads a hash-type line.
func parseHashType(p *parser, s *stmt) {
	b := &p.px.Balance
	consistent := false
	switch s.arg(1) {
	case "consistent":
		consistent = true
	case "map-based":
	case "avalanche":
		p.alert(s, 1, "removed", "experimental feature '%s %s' is not supported anymore, please use '%s map-based sdbm avalanche' instead.",
			s.keyword(), s.arg(1), s.keyword())
		return
	default:
		p.alert(s, 1, codeInvalidValue, "'%s' only supports 'consistent' and 'map-based'.", s.keyword())
		return
	}
	function, avalanche := HashSDBM, false
	switch s.arg(2) {
	case "":
		avalanche = consistent
	case "sdbm":
	case "djb2":
		function = HashDJB2
	case "wt6":
		function = HashWT6
	case "crc32":
		function = HashCRC32
	case "none":
		function = HashNone
	default:
		p.alert(s, 2, codeInvalidValue, "'%s' only supports 'sdbm', 'djb2', 'crc32', or 'wt6' hash functions.", s.keyword())
		return
	}
	switch s.arg(3) {
	case "":
	case "avalanche":
		avalanche = true
	default:
		p.alert(s, 3, codeInvalidValue, "'%s' only supports 'avalanche' as a modifier for hash functions.", s.keyword())
		return
	}
	b.Consistent, b.HashFunc, b.Avalanche = consistent, function, avalanche
}

func parseHashBalanceFactor(p *parser, s *stmt) {
	if len(s.words) < 2 {
		p.alert(s, 1, codeMissingValue, "'%s' expects an integer argument.", s.keyword())
		return
	}
	n := p.atol(s, 1)
	if n != 0 && n <= 100 {
		p.alert(s, 1, codeInvalidValue, "'%s' must be 0 or greater than 100.", s.keyword())
		return
	}
	p.px.Balance.Factor = n
}
