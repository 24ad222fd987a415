package config

import (
	"fmt"
	"strings"
)

// dynamicParams are the parameters that a server may have that is added at run time. What is left out belongs to name
// resolution, to the order in the file, or takes a default back.
var dynamicParams = func() map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(`
		addr agent-addr agent-check agent-inter agent-port agent-send backup check check-pool-conn-name check-proto check-reuse-pool
		ca-file check-alpn check-send-proxy check-sni check-ssl check-via-socks4 cookie disabled downinter enabled error-limit fall fastinter guid hash-key healthcheck id idle-ping
		init-state inter maxconn maxqueue minconn no-backup no-send-proxy no-send-proxy-v2 no-tfo observe on-error on-marked-down
		on-marked-up pool-conn-name pool-low-conn pool-max-conn pool-purge-delay port proto proxy-v2-options rise send-proxy
		send-proxy-v2 set-proxy-v2-tlv-fmt shard slowstart source strict-maxconn tfo track usesrc verify verifyhost weight ws`) {
		set[word] = true
	}
	return set
}()

// refusal is an answer to an operator, which programs read: it may end with a full stop.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// DynamicServerParams are the parameters that ParseDynamicServer takes and obeys, in order.
func DynamicServerParams() (list []string) {
	for _, word := range sortedKeys(serverKeywords) {
		if dynamicParams[word] && serverKeywords[word] == Implemented {
			list = append(list, word)
		}
	}
	return list
}

// ParseDynamicServer reads what follows the word server on a line of p, for a server that is added at run time: a name,
// an address and parameters. No default-server line counts. The error is the answer to the operator. Who
// tracks another server gets the name of its proxy. It begins in maintenance unless it is ready at once (enabled).
func ParseDynamicServer(p *Proxy, words []string) (s *Server, ready bool, err error) {
	words = append([]string{"server"}, words...)
	for at := 3; at < len(words); {
		word := words[at]
		base, _, _ := strings.Cut(word, "(")
		k, known := serverParams[word]
		_, tls := serverTLS[word]
		if (known || tls) && !dynamicParams[base] {
			return nil, false, refuse("'%s' option is not accepted for dynamic server", word)
		}
		if !known {
			at++ // a parameter of many words, or one that parseServer complains about
			continue
		}
		if word == "enabled" || word == "disabled" {
			ready = word == "enabled"
		}
		at += 1 + k.args
	}
	s, errs := parseServer(words, nil, func(string) (string, bool) { return "", false })
	for _, e := range errs {
		if e.Warning {
			continue
		}
		if e.Code == codeUnknownKeyword && !strings.HasSuffix(e.Msg, "?") {
			e.Msg += "."
		}
		return nil, false, refusal(e.Msg)
	}
	if s == nil {
		return nil, false, refusal("'server' expects <name> and <addr>[:<port>] as arguments.")
	}
	s.IDForced = s.ID > 0
	if s.Addr.Kind == AddrTCP && s.Addr.Host != "" {
		s.InitAddr = []InitAddr{{Method: "none"}}
	}
	if s.Check.Enabled {
		if text, _ := portProblem(p, s); text != "" {
			return nil, false, refuse("config: %s '%s': %s", p.Kind, p.Name, text)
		}
	}
	if s.Agent.Enabled {
		if text := agentProblem(s); text != "" {
			return nil, false, refusal(text)
		}
	}
	if s.Agent.Addr.Host != "" {
		return nil, false, refuse("'agent-addr' : a name is not resolved at run time ('%s').", s.Agent.Addr.Host)
	}
	if s.Check.Addr.Host != "" {
		return nil, false, refuse("'addr' : a name is not resolved at run time ('%s').", s.Check.Addr.Host)
	}
	if s.Track.Server != "" && s.Track.Proxy == "" {
		s.Track.Proxy = p.Name
	}
	return s, ready, nil
}
