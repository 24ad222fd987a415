package check

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"sync"
)

// SCRAM-SHA-256 (RFC 5802 and 7677), the client's side, without channel binding. The password is used as it is: those
// of printable ASCII are their own normal form.
//
//	client-first    n,,n=,r=<nonce>
//	server-first    r=<nonce and more>,s=<salt>,i=<iterations>
//	client-final    c=biws,r=<nonce and more>,p=<proof>
//	server-final    v=<signature>             proves that the server knows the password too

// scramMost is how many iterations a server may ask for. They are made in the goroutine of all checks, once for each
// salt; the default of PostgreSQL is 4096, which takes a millisecond.
const scramMost = 100_000

// scram is one authentication.
type scram struct {
	nonce     string
	signature []byte // that the server has to send
	verified  bool
}

// scramCache keeps the last salted password, because a server asks with the same salt each time.
type scramCache struct {
	mu     sync.Mutex
	salts  []string // salt and iterations
	salted [][]byte
}

// scramCacheSize is how many salts are kept: one for each server of a backend, mostly.
const scramCacheSize = 64

func newSCRAM() *scram { return &scram{nonce: rand.Text()} }

func (s *scram) bare() string { return "n=,r=" + s.nonce }

func (s *scram) first() string { return "n,," + s.bare() }

// proceed answers server-first.
func (s *scram) proceed(data []byte, secret string, cache *scramCache) (answer []byte, v verdict) {
	strange := alien("an answer of SCRAM", nil)
	var nonce, salt, count string
	for part := range strings.SplitSeq(string(data), ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "r":
			nonce = value
		case "s":
			salt = value
		case "i":
			count = value
		}
	}
	iterations, err := strconv.Atoi(count)
	raw, err2 := base64.StdEncoding.DecodeString(salt)
	switch {
	case err != nil || err2 != nil || len(raw) == 0 || iterations < 1:
		return nil, strange
	case !strings.HasPrefix(nonce, s.nonce) || len(nonce) == len(s.nonce) || s.signature != nil:
		return nil, strange
	case iterations > scramMost:
		return nil, refusedBy(0, "the server wants "+count+" iterations of SCRAM, more than a check makes")
	}
	salted, err := cache.salt(secret, raw, iterations)
	if err != nil {
		return nil, strange
	}
	final := "c=biws,r=" + nonce
	message := []byte(s.bare() + "," + string(data) + "," + final)
	key := mac(salted, []byte("Client Key"))
	stored := sha256.Sum256(key)
	proof := xor(key, mac(stored[:], message))
	s.signature = mac(mac(salted, []byte("Server Key")), message)
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), verdict{}
}

// finish looks at server-final.
func (s *scram) finish(data []byte) verdict {
	value, ok := bytes.CutPrefix(data, []byte("v="))
	value, _, _ = bytes.Cut(value, []byte(","))
	signature, err := base64.StdEncoding.DecodeString(string(value))
	if !ok || err != nil || s.signature == nil || !hmac.Equal(signature, s.signature) {
		return refusedBy(0, "the server does not prove that it knows the password")
	}
	s.verified = true
	return verdict{}
}

func mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// salt makes the salted password, or finds it.
func (c *scramCache) salt(secret string, salt []byte, iterations int) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := strconv.Itoa(iterations) + " " + string(salt)
	for i := range c.salts {
		if c.salts[i] == name {
			return c.salted[i], nil
		}
	}
	salted, err := pbkdf2.Key(sha256.New, secret, salt, iterations, sha256.Size)
	if err != nil {
		return nil, err
	}
	if len(c.salts) >= scramCacheSize {
		c.salts, c.salted = c.salts[1:], c.salted[1:]
	}
	c.salts, c.salted = append(c.salts, name), append(c.salted, salted)
	return salted, nil
}
