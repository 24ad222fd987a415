package netio

import (
	"time"

	"golang.org/x/sys/unix"
)

// TCPInfo is what the kernel knows of one TCP connection (TCP_INFO).
type TCPInfo struct {
	State        string // ESTABLISHED and so on
	RTT, RTTVar  time.Duration
	Congestion   uint32 // segments that may be under way
	Retransmits  uint32 // segments sent again so far
	Lost         uint32 // segments under way that are taken for lost
	DeliveryRate uint64 // bytes per second, as of the last acknowledgement; 0 when it was never measured
	Unsent       uint32 // bytes that were written and not sent yet
	Unacked      uint32 // segments that were sent and not acknowledged
}

// tcpStates are the names of the kernel's states, from 1 on.
var tcpStates = [...]string{
	"NONE", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING",
}

// ReadTCPInfo asks for the state of a connection; the error is that of a socket that is not TCP. It does not wait.
func ReadTCPInfo(fd int) (TCPInfo, Errno) {
	var k unix.TCPInfo // an older kernel fills less of it; the rest stays zero
	if e := getTCPInfo(fd, &k); e != 0 {
		return TCPInfo{}, e
	}
	state := tcpStates[0]
	if int(k.State) < len(tcpStates) {
		state = tcpStates[k.State]
	}
	return TCPInfo{
		State:        state,
		RTT:          time.Duration(k.Rtt) * time.Microsecond,
		RTTVar:       time.Duration(k.Rttvar) * time.Microsecond,
		Congestion:   k.Snd_cwnd,
		Retransmits:  k.Total_retrans,
		Lost:         k.Lost,
		DeliveryRate: k.Delivery_rate,
		Unsent:       k.Notsent_bytes,
		Unacked:      k.Unacked,
	}, 0
}
