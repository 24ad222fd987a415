// Package peers starts what is measured: proxies, each as a process of its own with a generated
// configuration, pinned to stated CPUs; and tells what such a process costs. It does not make traffic.
package peers
