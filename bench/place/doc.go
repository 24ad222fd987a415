// Package place puts the three parties of a measurement, client, proxy and server, on their CPUs and in
// their network namespaces. It does not start programs and makes no traffic.
package place
