// Package pollers measures what programs that ask the stats socket again and again do to the round trips of sessions. It
// does not judge: how much is too much, its reader knows.
package pollers
