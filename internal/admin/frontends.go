package admin

import (
	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
)

// frontendCommands are the commands that pause, resume and stop frontends.
func frontendCommands(e func() *engine.Engine) []runtimeapi.Command {
	command := func(verb, help string, to engine.FrontendState, same, stopped, failed string) runtimeapi.Command {
		return runtimeapi.Command{
			Words: []string{verb, "frontend"}, Usage: verb + " frontend <frontend>", Help: help, Level: runtimeapi.LevelAdmin,
			Run: func(r *runtimeapi.Request) {
				proxy, found := findFrontend(e(), r)
				if !found {
					return
				}
				was, ok := e().SetFrontend(proxy, to)
				switch {
				case was == engine.FrontendStopped:
					r.Fail("%s", stopped)
				case was == to:
					r.Message(runtimeapi.SeverityNotice, "%s", same)
				case !ok:
					r.Fail("%s", failed)
				}
			},
		}
	}
	return []runtimeapi.Command{
		command("disable", "stop a frontend for a while", engine.FrontendPaused, "All sockets are already disabled.",
			"Frontend was previously shut down, cannot disable.", "Failed to pause frontend, check logs for precise cause."),
		command("enable", "resume a frontend", engine.FrontendReady, "All sockets are already enabled.",
			"Frontend was previously shut down, cannot enable.", "Failed to resume frontend, check logs for precise cause (port conflict?)."),
		command("shutdown", "stop a frontend for good", engine.FrontendStopped, "",
			"Frontend was already shut down.", "Failed to pause frontend, check logs for precise cause."),
	}
}
