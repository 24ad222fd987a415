// Package session is one connection from accept to log line: choosing a server, connecting with
// retries, the relay of bytes by copy and by splice, timeouts, and the end with its name. All sessions of
// one worker live in that worker's [Table]. It does not own the event loop, does not open listeners and
// knows nothing of configuration files.
package session
