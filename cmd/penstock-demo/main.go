// Command penstock-demo shows Penstock at work on one machine: three small Redis servers that it
// holds itself, the real balancer in front of them on a generated haproxy.cfg, and real Redis
// clients. It shows who serves how much and what the balancer costs, and says what to try next. On
// a terminal it runs until Ctrl-C, elsewhere for some seconds. It exits with 1 when traffic failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() {
	flags := flag.NewFlagSet("penstock-demo", flag.ExitOnError)
	program := flags.String("penstock", "bin/penstock", "`path` of the balancer")
	duration := flags.Duration("for", 8*time.Second, "how long to run without a terminal")
	flags.Parse(os.Args[1:])

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	onTerminal := term.IsTerminal(int(os.Stdout.Fd()))
	if !onTerminal {
		limited, cancel := context.WithTimeout(ctx, *duration)
		defer cancel()
		ctx = limited
	}
	if err := demo(ctx, *program, os.Stdout, onTerminal); err != nil {
		fmt.Fprintln(os.Stderr, "penstock-demo:", err)
		os.Exit(1)
	}
}

// demo runs until ctx ends or the balancer was told to stop.
func demo(ctx context.Context, program string, out io.Writer, onTerminal bool) (err error) {
	s, err := newStage(program)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := s.close(); err == nil {
			err = stopErr
		}
	}()
	fmt.Fprintf(out, "Penstock (pid %d) serves three Redis servers with %s\n", s.pid(), s.config)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.stopping: // by the hand of whoever watches
			cancel()
		case <-ctx.Done():
		}
	}()
	t := startTraffic(ctx, s)
	view := screen{out: out, live: onTerminal}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	before := s.sample(t)
	first := before
	for running := true; running; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			running = false
		}
		now := s.sample(t)
		if now.at.Sub(before.at) > 100*time.Millisecond {
			view.show(s, before, now)
			before = now
		}
	}
	failures := t.wait()
	view.summary(s, first, s.sample(t))
	for _, failure := range failures {
		fmt.Fprintln(out, "failed:", failure)
	}
	switch {
	case len(failures) > 0:
		return fmt.Errorf("traffic failed %d times", len(failures))
	case t.requests.Load() == 0:
		return fmt.Errorf("no request was answered")
	}
	return nil
}
