package config

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// WebRule lets clients see the statistics page, or not.
type WebRule struct {
	Deny bool
	When WebCondition
	Pos  Pos
}

// WebCondition is what follows 'stats admin'. It knows the client's address and nothing else.
type WebCondition struct {
	Unless bool
	Any    [][]WebTest // it holds when all tests of one of them do
}

// WebTest is one word of a condition.
type WebTest struct {
	Not    bool
	Always bool
	Nets   []netip.Prefix // of the client
}

// Holds tests a condition for a client; the address is not valid when the client has none.
func (c *WebCondition) Holds(client netip.Addr) bool {
	client = client.Unmap().WithZone("")
	holds := slices.ContainsFunc(c.Any, func(all []WebTest) bool {
		return !slices.ContainsFunc(all, func(t WebTest) bool {
			in := slices.ContainsFunc(t.Nets, func(n netip.Prefix) bool { return n.Contains(client) })
			return (t.Always || in) == t.Not
		})
	})
	return holds != c.Unless
}

// errNeedsRules says that a condition is one of HAProxy's, and not of those that can be tested here.
var errNeedsRules = errors.New("the condition needs ACLs")

// localhost is what HAProxy's ACL LOCALHOST stands for.
var localhost = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// parseWebCondition reads 'if' or 'unless' and a condition.
func parseWebCondition(words []string) (c WebCondition, err error) {
	if len(words) == 0 || words[0] != "if" && words[0] != "unless" {
		return c, errors.New("'if' or 'unless' and a condition are missing")
	}
	c.Unless = words[0] == "unless"
	words = words[1:]
	if len(words) == 0 {
		return c, errors.New("the condition is missing")
	}
	var all []WebTest
	for not := false; len(words) > 0; {
		word := words[0]
		words = words[1:]
		if bare, found := strings.CutPrefix(word, "!"); found {
			not = !not
			if word = bare; word == "" {
				continue
			}
		}
		t := WebTest{Not: not}
		switch word {
		case "or", "||":
			if len(all) == 0 || not {
				return c, errors.New("the condition has nothing before '||'")
			}
			c.Any, all = append(c.Any, all), nil
			continue
		case "TRUE":
			t.Always = true
		case "FALSE":
		case "LOCALHOST":
			t.Nets = localhost
		case "{":
			end := slices.Index(words, "}")
			if end < 0 {
				return c, errors.New("the condition lacks a '}'")
			}
			if t.Nets, err = parseClientNets(words[:end]); err != nil {
				return c, err
			}
			words = words[end+1:]
		default:
			return c, errNeedsRules
		}
		all, not = append(all, t), false
		if len(words) == 0 {
			c.Any = append(c.Any, all)
			return c, nil
		}
	}
	return c, errors.New("the condition ends too early")
}

// parseClientNets reads src and networks.
func parseClientNets(words []string) (nets []netip.Prefix, err error) {
	if len(words) < 2 || words[0] != "src" {
		return nil, errNeedsRules
	}
	for _, word := range words[1:] {
		if strings.HasPrefix(word, "-") {
			return nil, errNeedsRules
		}
		n, err := netip.ParsePrefix(word)
		if err != nil {
			a, errAddr := netip.ParseAddr(word)
			if errAddr != nil || a.Zone() != "" {
				return nil, errors.New("'" + word + "' is not a network")
			}
			n = netip.PrefixFrom(a, a.BitLen())
		}
		nets = append(nets, n.Masked())
	}
	return nets, nil
}
