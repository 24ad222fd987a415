package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	nginxVersion = regexp.MustCompile(`nginx version: \S*/(\S+)`)
	nginxModules = regexp.MustCompile(`--modules-path=(\S+)`)
	nginxStream  = regexp.MustCompile(`--with-stream(=dynamic)?(\s|$)`)
)

// probeNginx asks nginx for its version and for where its stream module is.
func (p *Peer) probeNginx(ctx context.Context) {
	out, err := exec.CommandContext(ctx, p.Command[0], "-V").CombinedOutput()
	if err != nil {
		p.Missing = fmt.Sprintf("-V fails: %v", err)
		return
	}
	p.Version, p.streamModule, p.Missing = nginxIn(string(out))
	if p.streamModule == "" || p.Missing != "" {
		return
	}
	if _, err := os.Stat(p.streamModule); err != nil {
		p.Missing = "its stream module is not installed"
	}
}

// nginxIn reads what nginx -V says.
func nginxIn(text string) (version, module, missing string) {
	if m := nginxVersion.FindStringSubmatch(text); m != nil {
		version = m[1]
	}
	stream := nginxStream.FindStringSubmatch(text)
	switch {
	case stream == nil:
		missing = "it is built without the stream module"
	case stream[1] != "":
		modules := nginxModules.FindStringSubmatch(text)
		if modules == nil {
			return version, "", "its modules are nowhere"
		}
		module = filepath.Join(modules[1], "ngx_stream_module.so")
	}
	return version, module, missing
}

// NginxConfig writes the same as an nginx.conf. With one worker there is no master process, so that one
// process is what is measured.
func (s *Setup) NginxConfig(module, dir string) string {
	var b strings.Builder
	if module != "" {
		fmt.Fprintf(&b, "load_module %s;\n", module)
	}
	master := "on"
	if s.threads() == 1 {
		master = "off"
	}
	fmt.Fprintf(&b, "daemon off;\nmaster_process %s;\nworker_processes %d;\n", master, s.threads())
	if os.Geteuid() == 0 {
		b.WriteString("user root;\n") // there is nothing to protect, and dir is root's
	}
	fmt.Fprintf(&b, "pid %s/nginx.pid;\nerror_log stderr warn;\nworker_rlimit_nofile %d;\n", dir, 2*s.MaxConn+100)
	fmt.Fprintf(&b, "events { worker_connections %d; }\n", 2*s.MaxConn+100)
	b.WriteString("stream {\n    proxy_connect_timeout 1m;\n    proxy_timeout 1m;\n")
	reuse := ""
	if s.threads() > 1 {
		reuse = " reuseport"
	}
	for _, r := range s.Routes {
		fmt.Fprintf(&b, "    server { listen %v backlog=4096%s; proxy_pass %v; }\n", s.listen(r), reuse, r.Server)
	}
	b.WriteString("}\n")
	return b.String()
}
