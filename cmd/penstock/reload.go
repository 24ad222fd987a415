package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/penstock/penstock/internal/handover"
	"github.com/penstock/penstock/internal/process"
)

// reload asks for a new process and waits until it has taken over:
//
//	check the file ──> find the old process ──┬─ serves itself: start a successor in the background (-D -sf) ─┬─> ask it how
//	                                          └─ is a master:   SIGUSR2, and look for its new worker ────────┘   it went
func reloadCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:      commandReload,
		Usage:     "replace a running balancer, with its connections",
		ArgsUsage: "[FILE]...",
		Flags: append(
			settingFlags(),
			&cli.IntFlag{Name: flagPID, Usage: "the process or master to replace; otherwise the pid file tells"},
			&cli.DurationFlag{Name: flagWait, Usage: "how long to wait for the sessions to move", Value: time.Minute},
		),
		OnUsageError: wrongUsage,
		Action: func(c *cli.Context) error {
			s := settingsOf(c)
			if len(s.Files) == 0 {
				return &usageError{Detail: "no configuration file given", Command: commandReload}
			}
			return env.reload(s, c.Int(flagPID), c.Duration(flagWait))
		},
	}
}

func (env *environment) reload(s settings, pid int, patience time.Duration) error {
	report := env.reporter(s)
	v, err := env.check(s, report, true)
	if err != nil {
		return err
	}
	if !v.valid {
		report.Alertf("The configuration is not valid: nothing was reloaded.")
		return exitCode(exitFailure)
	}
	if pid == 0 {
		if pid, err = env.findPID(s); err != nil {
			report.Alertf("%v", err)
			return exitCode(exitFailure)
		}
	}
	end := time.Now().Add(patience)
	began := time.Now()
	next, err := env.replace(s, pid, end)
	if err != nil {
		report.Alertf("%v", err)
		return exitCode(exitFailure)
	}
	t, err := awaitTakeover(next, end)
	if err != nil {
		report.Alertf("Process %d serves, but %v.", next, err)
		return exitCode(exitFailure)
	}
	env.tellTakeover(t, next, time.Since(began))
	if t.Error != "" {
		return exitCode(exitFailure)
	}
	return nil
}

// findPID reads the pid file that the command line or the configuration names.
func (env *environment) findPID(s settings) (int, error) {
	cfg, _, err := env.load(s)
	if err != nil {
		return 0, err
	}
	path := cfg.Global.PidFile
	if path == "" {
		return 0, fmt.Errorf("which process is to be replaced? Name it with --%s, or its pid file with -p", flagPID)
	}
	return readPID(path)
}

func readPID(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("pid file: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("pid file %s: %q is no process id", path, strings.TrimSpace(string(text)))
	}
	return pid, nil
}

// pollEvery is the time between two looks at what another process does.
const pollEvery = 10 * time.Millisecond

// replace brings the successor of a process up and returns its pid.
func (env *environment) replace(s settings, pid int, end time.Time) (int, error) {
	switch _, err := handover.Status(pid); {
	case err == nil:
		return env.startSuccessor(s, pid)
	case !errors.Is(err, handover.ErrNobody):
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	old := workersOf(pid)
	if len(old) == 0 {
		return 0, fmt.Errorf("process %d is no balancer that could be reloaded", pid)
	}
	if process.Tell([]int{pid}, syscall.SIGUSR2) != nil {
		return 0, fmt.Errorf("process %d cannot be signalled", pid)
	}
	for time.Now().Before(end) {
		for worker := range workersOf(pid) {
			if !old[worker] {
				return worker, nil
			}
		}
		time.Sleep(pollEvery)
	}
	return 0, fmt.Errorf("master %d has started no new worker: see its messages", pid)
}

// startSuccessor starts a process in the background that replaces a given one, as the command line asks.
func (env *environment) startSuccessor(s settings, old int) (int, error) {
	path, err := os.Executable()
	if err != nil {
		return 0, err
	}
	pidFile, remove, err := env.pidFileFor(s)
	if err != nil {
		return 0, err
	}
	defer remove()
	args := append([]string{commandRun}, withoutOwnFlags(env.args[1:])...)
	args = append(args, "--"+flagDaemon, "--"+flagPIDFile+"="+pidFile, fmt.Sprintf("--%s=%d", flagFinish, old))
	successor := exec.Command(path, args...)
	successor.Env = env.environ
	successor.Stdout, successor.Stderr = env.stdout, env.stderr
	if err := successor.Run(); err != nil {
		return 0, fmt.Errorf("the new process did not start (%w); process %d goes on", err, old)
	}
	return readPID(pidFile)
}

// pidFileFor is where the successor writes its number: the usual file, or one of its own for the moment.
func (env *environment) pidFileFor(s settings) (path string, remove func(), err error) {
	cfg, _, err := env.load(s)
	if err != nil {
		return "", nil, err
	}
	if cfg.Global.PidFile != "" {
		return cfg.Global.PidFile, func() {}, nil
	}
	f, err := os.CreateTemp("", "penstock-pid-")
	if err != nil {
		return "", nil, err
	}
	return f.Name(), func() { _ = os.Remove(f.Name()) }, f.Close()
}

// withoutOwnFlags leaves out what only reload understands.
func withoutOwnFlags(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		switch name, _, glued := strings.Cut(args[i], "="); {
		case name != "--"+flagPID && name != "--"+flagWait:
			out = append(out, args[i])
		case !glued:
			i++
		}
	}
	return out
}

// workersOf are the children of a master that offer a handover.
func workersOf(master int) map[int]bool {
	workers := map[int]bool{}
	for _, child := range process.Children(master) {
		if _, err := handover.Status(child); err == nil {
			workers[child] = true
		}
	}
	return workers
}

// awaitTakeover waits until a process has all that it will get.
func awaitTakeover(pid int, end time.Time) (t takeover, err error) {
	for {
		text, err := handover.Status(pid)
		if err != nil {
			return t, fmt.Errorf("it does not tell how the handover went: %w", err)
		}
		if err := json.Unmarshal(text, &t); err != nil {
			return t, fmt.Errorf("how the handover went cannot be read: %w", err)
		}
		if t.Done {
			return t, nil
		}
		if time.Now().After(end) {
			return t, errors.New("sessions still move")
		}
		time.Sleep(pollEvery)
	}
}

// tellTakeover prints what became of listeners and sessions.
func (env *environment) tellTakeover(t takeover, pid int, took time.Duration) {
	from := make([]string, len(t.From))
	for i, old := range t.From {
		from[i] = strconv.Itoa(old)
	}
	if len(from) == 0 {
		from = []string{"nobody"}
	}
	fmt.Fprintf(env.stdout, "Process %d has taken over from %s in %d ms.\n", pid, strings.Join(from, ", "), took.Milliseconds())
	fmt.Fprintf(env.stdout, "  listeners  %d kept, %d opened, %d closed; ready after %d ms\n", t.Kept, t.Opened, t.Closed, t.ReadyMs)
	fmt.Fprintf(env.stdout, "  sessions   %d moved, %d left with the old process; within %d ms\n", t.Moved, t.Left, t.MoveMs)
	if t.Migrated+t.NotMigrated > 0 {
		fmt.Fprintf(env.stdout, "  kernel     %d waiting connections moved to another listener, %d not\n", t.Migrated, t.NotMigrated)
	}
	if t.Error != "" {
		fmt.Fprintf(env.stdout, "  not as it should be: %s\n", t.Error)
	}
}
