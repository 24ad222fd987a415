// Package admin is what operators can do to a running engine: the commands of the stats socket that show or change it,
// and the form of their answers. It neither listens nor keeps any state.
package admin

import (
	"slices"

	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
)

// Commands are all commands that need the engine. e is called for each use: the commands are made before the engine
// is. They run on the goroutines of the stats socket.
func Commands(e func() *engine.Engine) []runtimeapi.Command {
	return slices.Concat(
		sessionCommands(e),
		internalCommands(e),
		statCommands(e),
	)
}
