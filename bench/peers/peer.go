package peers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Kind tells how a peer is brought between client and server.
type Kind int

// The kinds of peers.
const (
	HAProxyLike Kind = iota // a command that takes -f haproxy.cfg -db
	NoProxy                 // client and server talk to each other: the floor
)

// Peer is one thing to be measured.
type Peer struct {
	Name    string
	Kind    Kind
	Command []string // without -f
	Version string
	Missing string // why it cannot run; empty when it can
}

// The peers that are known by name.
const (
	Penstock = "penstock"
	HAProxy  = "haproxy"
	Direct   = "direct"
)

// Find makes the list of peers: those known, with the commands of overrides ("name=command") in place
// of their own, and any other that overrides names. Penstock is built from the module in root into dir.
func Find(ctx context.Context, root, dir string, overrides []string) ([]Peer, error) {
	list := []Peer{{Name: Penstock}, {Name: HAProxy}}
	given := map[string]bool{}
	for _, o := range overrides {
		name, command, ok := strings.Cut(o, "=")
		words := strings.Fields(command)
		if !ok || name == "" || len(words) == 0 || name == Direct {
			return nil, fmt.Errorf("peer %q: want name=command", o)
		}
		if given[name] {
			return nil, fmt.Errorf("peer %q: given twice", name)
		}
		given[name] = true
		at := -1
		for i := range list {
			if list[i].Name == name {
				at = i
			}
		}
		if at < 0 {
			list = append(list, Peer{Name: name})
			at = len(list) - 1
		}
		list[at].Command = words
	}
	for i := range list {
		p := &list[i]
		switch {
		case p.Command != nil:
		case p.Name == Penstock:
			p.Command, p.Missing = build(ctx, root, dir)
		default:
			p.Command = []string{p.Name}
		}
		if p.Missing != "" {
			continue
		}
		path, err := exec.LookPath(p.Command[0])
		if err != nil {
			p.Missing = reason(err)
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		p.Command[0] = path
		p.Version = version(ctx, p.Command)
	}
	return append(list, Peer{Name: Direct, Kind: NoProxy, Version: "no proxy"}), nil
}

func reason(err error) string {
	var notFound *exec.Error
	if errors.As(err, &notFound) {
		if errors.Is(notFound.Err, exec.ErrNotFound) || errors.Is(notFound.Err, fs.ErrNotExist) {
			return "not installed"
		}
		return notFound.Err.Error()
	}
	return err.Error()
}

// build compiles penstock and returns the command, or the reason why there is none.
func build(ctx context.Context, root, dir string) (command []string, missing string) {
	const pkg = "./cmd/penstock"
	if _, err := os.Stat(filepath.Join(root, pkg)); err != nil {
		return nil, "no " + pkg + " in the module"
	}
	out := filepath.Join(dir, Penstock)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Sprintf("does not build: %v: %s", err, firstLine(string(text)))
	}
	return []string{out}, ""
}

// versionNumber is what follows the name in the first line: "HAProxy version 2.6.12 2024/…", "Penstock 0.1.0, …".
var versionNumber = regexp.MustCompile(`^\S+\s+(?:version\s+)?([^\s,]+)`)

// version asks a proxy for its version the way HAProxy is asked.
func version(ctx context.Context, command []string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], "-v")...).Output()
	if err != nil {
		return "unknown version"
	}
	return versionIn(string(out))
}

func versionIn(text string) string {
	first := firstLine(text)
	if m := versionNumber.FindStringSubmatch(first); m != nil {
		return m[1]
	}
	return first
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}
