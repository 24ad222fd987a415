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
	"slices"
	"strings"
	"time"
)

// Kind tells how a peer is brought between client and server.
type Kind int

// The kinds of peers.
const (
	HAProxyLike Kind = iota // a command that takes -f haproxy.cfg -db
	NoProxy                 // client and server talk to each other: the floor
	OwnRelay                // a relay of this benchmark, which has no configuration file
	NginxLike               // a command that takes -c nginx.conf
)

// Peer is one thing to be measured.
type Peer struct {
	Name    string
	Kind    Kind
	Command []string // without the configuration
	Version string
	Missing string // why it cannot run; empty when it can
	// Splices says that it can be told to splice; the others have no such switch.
	Splices bool

	// FilesPerSession is how many descriptors a session at rest holds; 0 is two, the sockets.
	FilesPerSession int

	streamModule string // of nginx, to be loaded; empty when it is built in
}

// The peers that are known by name.
const (
	Penstock = "penstock"
	HAProxy  = "haproxy"
	Bare     = "bare"
	IOCopy   = "iocopy"
	Nginx    = "nginx"
	Direct   = "direct"
)

func known() []Peer {
	return []Peer{
		{Name: Penstock, Splices: true},
		{Name: HAProxy, Splices: true},
		{Name: Bare, Kind: OwnRelay, Splices: true, Version: "the smallest relay on epoll, of this repository"},
		// io.Copy waits for data with a pipe in its hand, in both directions.
		{Name: IOCopy, Kind: OwnRelay, FilesPerSession: 6, Version: "net and io.Copy, of this repository"},
		{Name: Nginx, Kind: NginxLike},
	}
}

// packages are what the peers of this repository are built from.
var packages = map[string]string{
	Penstock: "./cmd/penstock",
	Bare:     "./bench/peers/bare",
	IOCopy:   "./bench/peers/iocopy",
}

// Find makes the list of peers: those known, with the commands of overrides ("name=command") in place
// of their own, and any other that overrides names. What belongs to the repository in root is built
// into dir. Of the known peers only those in names are kept; no names keep all.
func Find(ctx context.Context, root, dir string, names, overrides []string) ([]Peer, error) {
	var list []Peer
	for _, n := range names {
		if !slices.ContainsFunc(known(), func(p Peer) bool { return p.Name == n }) {
			return nil, fmt.Errorf("peer %q: not known", n)
		}
	}
	for _, p := range known() {
		if len(names) == 0 || slices.Contains(names, p.Name) {
			list = append(list, p)
		}
	}
	given := map[string]bool{}
	for _, o := range overrides {
		name, command, ok := strings.Cut(o, "=")
		words := strings.Fields(command)
		if !ok || name == "" || len(words) == 0 || name == Direct || name == Bare || name == IOCopy {
			return nil, fmt.Errorf("peer %q: want name=command", o)
		}
		if given[name] {
			return nil, fmt.Errorf("peer %q: given twice", name)
		}
		given[name] = true
		at := slices.IndexFunc(list, func(p Peer) bool { return p.Name == name })
		if at < 0 {
			list = append(list, Peer{Name: name, Splices: true})
			at = len(list) - 1
		}
		list[at].Command = words
	}
	for i := range list {
		if err := list[i].find(ctx, root, dir); err != nil {
			return nil, err
		}
	}
	return append(list, Peer{Name: Direct, Kind: NoProxy, Version: "no proxy", Splices: true}), nil
}

// find gives the peer its command and version, or says why it has none.
func (p *Peer) find(ctx context.Context, root, dir string) error {
	switch pkg := packages[p.Name]; {
	case p.Command != nil:
	case pkg != "":
		if p.Command, p.Missing = build(ctx, root, pkg, filepath.Join(dir, p.Name)); p.Missing != "" {
			return nil
		}
	default:
		p.Command = []string{p.Name}
	}
	path, err := exec.LookPath(p.Command[0])
	if err != nil && p.Kind == NginxLike && !strings.Contains(p.Command[0], "/") {
		path, err = exec.LookPath("/usr/sbin/" + p.Command[0]) // which users other than root do not have in their path
	}
	if err != nil {
		p.Missing = reason(err)
		return nil
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	p.Command[0] = path
	switch p.Kind {
	case HAProxyLike:
		p.Version = version(ctx, p.Command)
	case NginxLike:
		p.probeNginx(ctx)
	}
	return nil
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

// build compiles a package of the repository and returns the command, or the reason why there is none.
func build(ctx context.Context, root, pkg, out string) (command []string, missing string) {
	where := filepath.Join(root, pkg)
	if _, err := os.Stat(where); err != nil {
		return nil, "no " + pkg + " in the repository"
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return nil, err.Error()
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, ".")
	cmd.Dir = where // go finds out which module it belongs to
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
