package config

import "time"

// This file is the part of the model that says how servers are checked. All of it is plain text and numbers, so
// that a description of a proxy can travel to another process; expressions are compiled where they are used.

// ServerCheck is what a server line says about the health check of the server.
type ServerCheck struct {
	Enabled   bool
	Inter     time.Duration // between two checks of a server whose state is settled; default 2 s
	FastInter time.Duration // while it changes its state; 0: Inter
	DownInter time.Duration // while it is down; 0: Inter
	Rise      int           // successes until it is up, default 2
	Fall      int           // failures until it is down, default 3
	Port      int           // where to connect to; 0: the server's
	Addr      Address       // Kind 0: the server's
	InitState string        // fully-up, up, down, fully-down; empty: up

	SendProxy  bool     // begin with a header of the PROXY protocol
	TLS        bool     // check-ssl
	SNI        string   // the name that the server is asked for; empty: none
	ALPN       []string // application protocols; empty: none
	Verify     string   // none or required; complete only where a check speaks TLS
	VerifyHost string   // the name in the certificate; empty: any. SNI comes first
	CAFile     string   // a file, or @system-ca

	Observe    bool // failed connections of sessions count too
	ErrorLimit int  // so many in a row, default 10
}

// Track names a server whose state another one takes over. An empty Server stands for none; once a configuration is
// complete, Proxy is not empty.
type Track struct {
	Proxy, Server string
}

// Check is how a backend checks its servers.
type Check struct {
	Kind      CheckKind
	User      string // of mysql-check and pgsql-check
	Old       bool   // mysql-check with the login packet from before 4.1
	Hello     string // the greeting of smtpchk
	Request   HTTPRequest
	TCPRules  []CheckRule // tcp-check lines
	HTTPRules []CheckRule // http-check lines
	HTTP404   bool        // http-check disable-on-404: a server that answers so wants no more sessions
	SendState bool        // http-check send-state
	Role      *RoleCheck  // of mysql-check, pgsql-check and redis-check; nil: any role will do
}

// Rules are the lines that the kind of check obeys.
func (c *Check) Rules() []CheckRule {
	switch c.Kind {
	case CheckTCP:
		return c.TCPRules
	case CheckHTTP:
		return c.HTTPRules
	}
	return nil
}

// NeedsTLS reports whether the check of a server, whose line says s, speaks TLS.
func (c *Check) NeedsTLS(s *ServerCheck) bool {
	usual, own := true, false
	for _, r := range c.Rules() {
		if r.Action == CheckConnect {
			usual = r.Default
			break
		}
	}
	for _, r := range c.Rules() {
		if r.Action == CheckConnect {
			usual, own = usual || r.Default, own || r.TLS
		}
	}
	return own || usual && s.TLS
}

// CheckKind is what a check speaks.
type CheckKind uint8

// The kinds of checks.
const (
	CheckConnection CheckKind = iota // it only connects
	CheckTCP                         // by tcp-check lines
	CheckHTTP
	CheckSMTP
	CheckMySQL
	CheckPostgres
	CheckRedis
	CheckLDAP
	CheckSSLHello
	CheckExternal // by a program
	CheckSPOP
)

// CheckRule is one tcp-check or http-check line.
type CheckRule struct {
	Pos     Pos
	Action  CheckAction
	Step    int // as messages count them, from 1
	Comment string

	// CheckConnect
	Port     int        // 0: that of the check
	PortExpr *CheckExpr // instead of Port; nil: none
	Addr     Address    // Kind 0: that of the check
	Linger   bool       // close with FIN, not with a reset

	Default   bool // PROXY protocol and TLS as the server line has them for checks
	SendProxy bool // begin with a header of the PROXY protocol
	TLS       bool
	SNI       string
	ALPN      []string

	// CheckSend
	Data    []byte
	Request *HTTPRequest // of http-check
	Hex     bool         // Format gives hexadecimal digits

	// CheckSet
	Variable string

	Format CheckFormat // of CheckSend, instead of Data, and of CheckSet; nil there: the variable is taken away

	// CheckExpect
	Expect CheckExpect
}

// CheckAction is what a rule does.
type CheckAction uint8

// The actions of rules.
const (
	CheckConnect CheckAction = iota + 1
	CheckSend
	CheckExpects
	CheckComment
	CheckSet // a variable
)

// CheckExpect is what a server has to answer.
type CheckExpect struct {
	Match       CheckMatch
	Not         bool   // the answer must not match
	Pattern     string // a string, or an expression
	Bytes       []byte // of MatchBinary
	Codes       [][2]int
	MinRecv     int          // bytes to wait for; -1: not given
	Format      CheckFormat  // of MatchString, or hexadecimal of MatchBinary, instead of Pattern; nil: none
	Header      *CheckHeader // of MatchHeader
	OnSuccess   CheckFormat  // what is said of an answer that passes, if it is the last; nil: the usual
	OnError     CheckFormat
	Code        *CheckExpr // the number that goes with the status; nil: the usual
	OKStatus    string     // L4OK, L6OK, L7OK or L7OKC; empty: L7OK
	ErrorStatus string     // L4CON, L6RSP, L7RSP, L7STS or L7OKC; empty: as the match has it
	ToutStatus  string     // L4TOUT, L6TOUT or L7TOUT; empty: L7TOUT
}

// CheckMatch is how an answer is compared.
type CheckMatch uint8

// The ways of comparing.
const (
	MatchString CheckMatch = iota + 1
	MatchRegex
	MatchBinary
	MatchBinaryRegex // the expression sees the bytes in hexadecimal
	MatchStatus      // HTTP
	MatchStatusRegex // HTTP
	MatchHeader      // HTTP
)

// CheckHeader is a header that the answer has to have.
type CheckHeader struct {
	Whole bool // the value is compared as a whole, not each part between commas
	Name  HeaderPattern
	Value *HeaderPattern // nil: any
}

// HeaderPattern is what a name or a value is compared with.
type HeaderPattern struct {
	How    string // str, beg, end, sub or reg
	Text   string
	Format CheckFormat // instead of Text; nil: none
}

// HTTPRequest is what httpchk or http-check send asks for. Empty fields are not given.
type HTTPRequest struct {
	Method, URI, Version string
	Headers              []HTTPHeader
	Body                 string

	URIFormat, BodyFormat CheckFormat // instead of URI and Body; nil: none
}

// HTTPHeader is a header of a request. With a Format, Value is only how that was written.
type HTTPHeader struct {
	Name, Value string
	Format      CheckFormat
}
