package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// Options are what a view needs.
type Options struct {
	Client   Client
	Model    *Model
	Interval time.Duration // between samples; it grows when the process takes long to answer
	Colour   bool
}

// share is how many times longer than an answer takes the next one is waited for at least, so that looking at many
// sessions does not become the work of the process.
const share = 4

// escapeWait is how long the rest of a key's sequence may take. What comes later makes the first byte the Escape key.
const escapeWait = 50 * time.Millisecond

// result is a sample, or why there is none.
type result struct {
	sample *Sample
	err    error
	took   time.Duration
}

// fetch asks for a sample.
func fetch(ctx context.Context, client Client, questions []string) (*Sample, error) {
	answers, cut, err := client.ask(ctx, questions...)
	if err != nil {
		return nil, err
	}
	s := &Sample{Taken: time.Now(), Info: ParseInfo(answers[0]), Rows: ParseStat(answers[1]), Cut: cut}
	if s.Info["Pid"] == "" {
		if refused := complaint(answers[0]); refused != "" {
			return nil, errors.New("show info: " + refused + "; a stats socket of the balancer is needed, not its master's")
		}
		return nil, errors.New("no answer to show info")
	}
	if len(questions) < 3 {
		return s, nil
	}
	answer := answers[2]
	s.Refusal = complaint(answer)
	switch {
	case strings.HasPrefix(questions[2], "show sess 0x"):
		if s.Refusal == "" {
			for line := range strings.Lines(strings.TrimSpace(answer)) {
				s.Detail = append(s.Detail, clean(strings.TrimRight(line, "\r\n")))
			}
		}
		s.Refusal = ""
	default:
		s.Sessions, s.Listed = ParseSessions(answer), true
	}
	return s, nil
}

// Run shows the view on a terminal until the user or a signal ends it, or ctx. The terminal is as it was before, whatever
// the end.
func Run(ctx context.Context, o Options, in, out *os.File) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT)
	defer signal.Stop(signals)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH, syscall.SIGCONT)
	defer signal.Stop(resized)
	s, err := openScreen(in, out, o.Colour)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	l := loop{Options: o, screen: s, resized: resized}
	return l.run(ctx, in)
}

// loop joins keys, samples and the screen.
//
//	keys ───────> press ──┬──> Render ──> screen
//	samples ────> Update ─┘
//	   ^            │
//	   └── fetch <──┘ after the interval, or at once
//
// One goroutine reads the keyboard and one asks the process, at most. Neither touches the model. What panics there panics here, so
// that the terminal is restored.
type loop struct {
	Options
	screen  *screen
	resized <-chan os.Signal

	ctx     context.Context
	samples chan result
	acted   chan string
	failed  chan error
	asking  bool // a sample is on its way
	again   bool // and is not the one that is wanted
	due     *time.Timer
}

// guard runs f in a goroutine of its own.
func (l *loop) guard(f func()) {
	go func() {
		defer func() {
			if p := recover(); p != nil {
				l.failed <- fmt.Errorf("%v\n%s", p, debug.Stack())
			}
		}()
		f()
	}()
}

func (l *loop) run(ctx context.Context, in io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.ctx = ctx
	l.samples, l.acted, l.failed = make(chan result, 1), make(chan string, 1), make(chan error, 4)
	l.due = time.NewTimer(0)
	defer l.due.Stop()
	input := make(chan []byte)
	l.guard(func() { read(ctx, in, input) })
	var rest []byte
	escape := time.NewTimer(time.Hour)
	defer escape.Stop()
	for {
		l.paint()
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.failed:
			panic(err)
		case <-l.resized:
			l.screen.forget()
		case bytes := <-input:
			if bytes == nil {
				return nil // the terminal is gone
			}
			var keys []key
			keys, rest = decode(append(rest, bytes...))
			if l.pressAll(keys) {
				return nil
			}
			if len(rest) > 0 {
				escape.Reset(escapeWait)
			}
		case <-escape.C:
			keys := []key(nil)
			if len(rest) > 0 && rest[0] == byte(keyEscape) {
				keys, rest = []key{keyEscape}, nil
			}
			if l.pressAll(keys) {
				return nil
			}
		case <-l.due.C:
			l.fetch()
		case r := <-l.samples:
			l.take(r)
		case text := <-l.acted:
			l.Model.Say(text, strings.Contains(text, ": "))
			l.refresh()
		}
	}
}

// read passes the keyboard's bytes on, and nil at its end.
func read(ctx context.Context, in io.Reader, input chan<- []byte) {
	for err := error(nil); err == nil; {
		var n int
		buf := make([]byte, 256)
		if n, err = in.Read(buf); err != nil {
			buf = nil
		} else {
			buf = buf[:n]
		}
		select {
		case input <- buf:
		case <-ctx.Done():
			return
		}
	}
}

// pressAll obeys keys, and tells whether one of them was for the end.
func (l *loop) pressAll(keys []key) (quit bool) {
	for _, k := range keys {
		e := l.Model.press(k)
		switch {
		case e.quit:
			return true
		case e.command != "":
			l.act(e)
		case e.refresh:
			l.refresh()
		case e.repaint:
			l.screen.forget()
		}
	}
	return false
}

// act gives an order to the process. What it answers is for the user.
func (l *loop) act(e effect) {
	ctx := l.ctx
	l.Model.Say(e.name+" …", false)
	if l.Model.Plain {
		l.Model.Say(e.name+" ...", false)
	}
	l.guard(func() {
		answers, _, err := l.Client.ask(ctx, e.command)
		text := e.name + " - done"
		switch {
		case err != nil:
			text = e.name + ": " + clean(err.Error())
		case complaint(answers[0]) != "":
			text = e.name + ": " + complaint(answers[0])
		case said(answers[0]) != "":
			text = e.name + " - " + said(answers[0])
		}
		select {
		case l.acted <- text:
		case <-ctx.Done():
		}
	})
}

// refresh asks for a sample at once.
func (l *loop) refresh() {
	if l.asking {
		l.again = true
		return
	}
	l.due.Reset(0)
}

func (l *loop) fetch() {
	if l.asking {
		return
	}
	l.asking = true
	ctx, client, questions := l.ctx, l.Client, l.Model.questions()
	l.guard(func() {
		begun := time.Now()
		s, err := fetch(ctx, client, questions)
		l.samples <- result{s, err, time.Since(begun)}
	})
}

func (l *loop) take(r result) {
	l.asking = false
	if r.err != nil {
		l.Model.Lose(r.err)
	} else {
		l.Model.Update(r.sample)
	}
	wait := max(l.Interval, share*r.took)
	if l.again {
		l.again, wait = false, 0
	}
	l.due.Reset(wait)
}

func (l *loop) paint() {
	width, height := l.screen.size()
	l.screen.show(l.Model.Render(width, height))
}

// Batch prints the view n times (0: until ctx ends) as plain text, no wider than width columns (0: as wide as it gets). Only at the first
// time is it an error when the process does not answer.
func Batch(ctx context.Context, o Options, out, errs io.Writer, n, width int) error {
	for i := 0; n == 0 || i < n; i++ {
		if i > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(o.Interval):
			}
		}
		s, err := fetch(ctx, o.Client, o.Model.questions())
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil && i == 0:
			return err
		case err != nil:
			fmt.Fprintf(errs, "no connection, trying again: %v\n", err)
			continue
		}
		o.Model.Update(s)
		var text strings.Builder
		if i > 0 {
			text.WriteByte('\n')
		}
		for _, line := range o.Model.Page(width) {
			text.WriteString(line.String() + "\n")
		}
		if _, err := io.WriteString(out, text.String()); err != nil {
			return fmt.Errorf("write page: %w", err)
		}
	}
	return nil
}
