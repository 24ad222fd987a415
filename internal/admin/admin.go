// Package admin holds the commands of the Runtime API that act on the engine. It reads their words and writes
// their answers; what is done, the engine does.
package admin

import (
	"slices"

	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
)

// Commands are all commands of this package. e gives the engine, which may be built after them.
func Commands(e func() *engine.Engine) []runtimeapi.Command {
	return slices.Concat(
		statCommands(e),
	)
}
