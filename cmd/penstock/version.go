package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/penstock/penstock/ebpf/steer"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/handover"
	"github.com/penstock/penstock/netio"
)

// Set by the linker.
var (
	version     = "0.1.0"
	releaseDate = "" // year/month/day; empty: that of the commit
)

const homePage = "https://github.com/penstock/penstock"

func versionCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:  commandVersion,
		Usage: "show the version",
		Flags: []cli.Flag{&cli.StringFlag{
			Name: flagForm, Value: "first", Usage: "`FORM`: first (-v), full (-vv), bare (-vq), short (-vqs), branch (-vqb)",
		}},
		OnUsageError: wrongUsage,
		Action: func(c *cli.Context) error {
			form := c.String(flagForm)
			switch form {
			case "first":
				writeVersion(env.stdout)
			case "full":
				writeVersion(env.stdout)
				writeBuild(env.stdout, append(netio.Probe(), steering()))
			case "bare":
				fmt.Fprintln(env.stdout, fullVersion())
			case "short":
				fmt.Fprintln(env.stdout, config.CompatibleVersion)
			case "branch":
				fmt.Fprintln(env.stdout, branch())
			default:
				return &usageError{Detail: fmt.Sprintf("unknown form %q", form), Command: commandVersion}
			}
			return nil
		},
	}
}

// steering is what this user may do on this kernel about 'steer ebpf'.
func steering() netio.Feature {
	result := steer.Probe()
	f := netio.Feature{Name: "steering by eBPF", Reason: result.Reason}
	switch result.Answer {
	case steer.Yes:
		f.Answer = netio.Yes
	case steer.No:
		f.Answer = netio.No
	}
	return f
}

// branch is the compatible version without its last number.
func branch() string {
	return config.CompatibleVersion[:strings.LastIndexByte(config.CompatibleVersion, '.')]
}

// fullVersion is the version as programs ask for it: they compare its beginning with HAProxy's.
func fullVersion() string { return config.CompatibleVersion + "-" + programName + "-" + version }

// release is the date of the release or, for a build without one, of its commit.
func release() string {
	if releaseDate != "" {
		return releaseDate
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if day, _, dated := strings.Cut(s.Value, "T"); s.Key == "vcs.time" && dated {
				return strings.ReplaceAll(day, "-", "/")
			}
		}
	}
	return "1970/01/01"
}

// writeVersion writes what -v shows.
func writeVersion(w io.Writer) {
	fmt.Fprintf(w, "Penstock %s, compatible with HAProxy version %s %s - %s\n", version, config.CompatibleVersion, release(), homePage)
	fmt.Fprintf(w, "Status: development branch - not yet for production.\n")
	fmt.Fprintf(w, "Running on: %s %s %s %s\n", kernel("ostype"), kernel("osrelease"), kernel("version"), machine())
}

// kernel reads one file about the running kernel.
func kernel(file string) string {
	text, err := os.ReadFile("/proc/sys/kernel/" + file)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

func machine() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}

// featureNames are the build features that -vv lists.
var featureNames = []string{
	"51DEGREES", "ACCEPT4", "BACKTRACE", "CPU_AFFINITY", "CRYPT_H", "DEVICEATLAS", "DL", "ENGINE", "EPOLL", "EVPORTS",
	"GETADDRINFO", "KQUEUE", "LIBCRYPT", "LINUX_CAP", "LINUX_SPLICE", "LINUX_TPROXY", "LUA", "MATH", "NETFILTER", "NS",
	"OPENSSL", "OT", "PCRE", "PCRE2", "PCRE2_JIT", "PCRE_JIT", "POLL", "PRCTL", "PROCCTL", "PROMEX", "QUIC", "RT",
	"SHM_OPEN", "SLZ", "SSL", "STATIC_PCRE", "STATIC_PCRE2", "TFO", "THREAD", "THREAD_DUMP", "TPROXY", "WURFL", "ZLIB",
}

// featureList marks each feature with + or -, as conditions see it.
func featureList() string {
	marked := make([]string, len(featureNames))
	for i, name := range featureNames {
		sign := "-"
		if has, err := config.EvalCond("feature("+name+")", nil); err == nil && has {
			sign = "+"
		}
		marked[i] = sign + name
	}
	return strings.Join(marked, " ")
}

// writeBuild writes what -vv shows besides the version.
func writeBuild(w io.Writer, probed []netio.Feature) {
	fmt.Fprintf(w, "Build options :\n")
	fmt.Fprintf(w, "  TARGET  = linux-glibc\n  CPU     = %s\n  CC      = %s\n  CFLAGS  = %s\n  OPTIONS = \n  DEBUG   = \n", cpu(), runtime.Version(), buildFlags())
	fmt.Fprintf(w, "\nFeature list : %s\n", featureList())
	fmt.Fprintf(w, "\nDefault settings :\n  bufsize = 16384, maxrewrite = 1024, maxpollevents = 200\n")
	fmt.Fprintf(w, "\nBuilt with multi-threading support (MAX_THREADS=1024, default=%d).\n", runtime.NumCPU())
	fmt.Fprintf(w, "Built with transparent proxy support using: IP_TRANSPARENT IPV6_TRANSPARENT\n")
	fmt.Fprintf(w, "Built with Go compiler version %s\n", strings.TrimPrefix(runtime.Version(), "go"))
	if len(probed) > 0 {
		fmt.Fprintf(w, "\nKernel features :\n")
		for _, f := range probed {
			fmt.Fprintf(w, "  %-24s : %s%s\n", f.Name, f.Answer, reason(f.Reason))
		}
	}
	fmt.Fprintf(w, "\nSession handover : protocol %d to %d.\n", handover.MinVersion, handover.MaxVersion)
	fmt.Fprintf(w, "\nAvailable polling systems :\n      epoll : pref=300,  test result OK\nTotal: 1 (1 usable), will use epoll.\n")
	fmt.Fprintf(w, "\nAvailable multiplexer protocols :\n(protocols marked as <default> cannot be specified using 'proto' keyword)\n")
	fmt.Fprintf(w, "  <default> : mode=TCP   side=FE|BE  mux=PASS  flags=\n       none : mode=TCP   side=FE|BE  mux=PASS  flags=NO_UPG\n")
	fmt.Fprintf(w, "\nAvailable services : none\nAvailable filters :\n\n")
}

func reason(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// cpu is the level of the instruction set that the program was built for.
func cpu() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if strings.HasPrefix(s.Key, "GO") && strings.EqualFold(s.Key, "GO"+runtime.GOARCH) {
				return s.Value
			}
		}
	}
	return "generic"
}

// buildFlags are the settings that the compiler and the linker were given.
func buildFlags() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var flags []string
	for _, s := range info.Settings {
		if slices.Contains([]string{"-tags", "-race", "-gcflags", "-trimpath", "CGO_ENABLED", "-buildmode"}, s.Key) {
			flags = append(flags, s.Key+"="+s.Value)
		}
	}
	return strings.Join(flags, " ")
}
