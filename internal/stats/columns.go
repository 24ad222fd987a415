package stats

// Column is a column of "show stat". The numbers are those that programs know.
type Column int

// The columns, in their order.
const (
	PxName Column = iota
	SvName
	QCur
	QMax
	SCur
	SMax
	SLim
	STot
	BytesIn
	BytesOut
	Dreq
	Dresp
	Ereq
	Econ
	Eresp
	Wretr
	Wredis
	Status
	Weight
	Act
	Bck
	Chkfail
	Chkdown
	Lastchg
	Downtime
	Qlimit
	Pid
	IID
	SID
	Throttle
	Lbtot
	Tracked
	Type
	Rate
	RateLim
	RateMax
	CheckStatus
	CheckCode
	CheckDuration
	Hrsp1xx
	Hrsp2xx
	Hrsp3xx
	Hrsp4xx
	Hrsp5xx
	HrspOther
	Hanafail
	ReqRate
	ReqRateMax
	ReqTot
	CliAbrt
	SrvAbrt
	CompIn
	CompOut
	CompByp
	CompRsp
	Lastsess
	LastChk
	LastAgt
	Qtime
	Ctime
	Rtime
	Ttime
	AgentStatus
	AgentCode
	AgentDuration
	CheckDesc
	AgentDesc
	CheckRise
	CheckFall
	CheckHealth
	AgentRise
	AgentFall
	AgentHealth
	Addr
	Cookie
	Mode
	Algo
	ConnRate
	ConnRateMax
	ConnTot
	Intercepted
	Dcon
	Dses
	Wrew
	Connect
	Reuse
	CacheLookups
	CacheHits
	SrvIcur
	SrcIlim
	QtimeMax
	CtimeMax
	RtimeMax
	TtimeMax
	Eint
	IdleConnCur
	SafeConnCur
	UsedConnCur
	NeedConnEst
	Uweight
	AggServerStatus
	AggServerCheckStatus
	AggCheckStatus
	SRID
	SessOther
	H1sess
	H2sess
	H3sess
	ReqOther
	H1req
	H2req
	H3req
	Proto
	PrivIdleCur
	Reqbin
	Reqbout
	Resbin
	Resbout
	CacheHintHits
	NumColumns
)

// columns describes them.
var columns = [NumColumns]column{
	PxName:               {"pxname", "KNS", text, "name of the proxy"},
	SvName:               {"svname", "KNS", text, "name of the server, or FRONTEND or BACKEND"},
	QCur:                 {"qcur", "MGP", u32, "sessions that wait"},
	QMax:                 {"qmax", "MMP", u32, "most sessions that ever waited"},
	SCur:                 {"scur", "MGP", u32, "present sessions"},
	SMax:                 {"smax", "MMP", u32, "most sessions at once"},
	SLim:                 {"slim", "CLP", u32, "limit of sessions"},
	STot:                 {"stot", "MCP", u64, "sessions so far"},
	BytesIn:              {"bin", "MCP", u64, "bytes from clients"},
	BytesOut:             {"bout", "MCP", u64, "bytes to clients"},
	Dreq:                 {"dreq", "MCP", u64, "requests refused by rules"},
	Dresp:                {"dresp", "MCP", u64, "responses refused by rules"},
	Ereq:                 {"ereq", "MCP", u64, "requests with errors"},
	Econ:                 {"econ", "MCP", u64, "sessions that could not be connected"},
	Eresp:                {"eresp", "MCP", u64, "sessions that the server broke"},
	Wretr:                {"wretr", "MCP", u64, "further tries on the same server"},
	Wredis:               {"wredis", "MCP", u64, "sessions that went to another server after a failure"},
	Status:               {"status", "SGP", text, "present state"},
	Weight:               {"weight", "MaP", u32, "weight, of a backend the sum of the usable servers"},
	Act:                  {"act", "MGP", u32, "usable active servers"},
	Bck:                  {"bck", "MGP", u32, "usable backup servers"},
	Chkfail:              {"chkfail", "MCP", u64, "checks that failed while the server was up"},
	Chkdown:              {"chkdown", "MCP", u64, "times that it went down"},
	Lastchg:              {"lastchg", "MAP", u32, "seconds since it last went up or down"},
	Downtime:             {"downtime", "MCP", u32, "seconds that it was down"},
	Qlimit:               {"qlimit", "CLS", u32, "most sessions that may wait for the server"},
	Pid:                  {"pid", "KGP", u32, "number of the process, always 1"},
	IID:                  {"iid", "KGS", u32, "number of the proxy"},
	SID:                  {"sid", "KGS", u32, "number of the server or listener in its proxy"},
	Throttle:             {"throttle", "MaP", u32, "percent of the weight during slow start"},
	Lbtot:                {"lbtot", "MCP", u64, "times that it was chosen"},
	Tracked:              {"tracked", "CNS", text, "server whose state it follows"},
	Type:                 {"type", "CGS", u32, "0 frontend, 1 backend, 2 server, 3 listener"},
	Rate:                 {"rate", "MRP", u32, "sessions in the last second"},
	RateLim:              {"rate_lim", "CLP", u32, "limit of sessions in a second"},
	RateMax:              {"rate_max", "MMP", u32, "most sessions in a second"},
	CheckStatus:          {"check_status", "MOP", text, "outcome of the last check"},
	CheckCode:            {"check_code", "MOP", u32, "code of the last check"},
	CheckDuration:        {"check_duration", "MDP", u64, "milliseconds that the last check took"},
	Hrsp1xx:              {"hrsp_1xx", "MCP", u64, "HTTP responses 1xx"},
	Hrsp2xx:              {"hrsp_2xx", "MCP", u64, "HTTP responses 2xx"},
	Hrsp3xx:              {"hrsp_3xx", "MCP", u64, "HTTP responses 3xx"},
	Hrsp4xx:              {"hrsp_4xx", "MCP", u64, "HTTP responses 4xx"},
	Hrsp5xx:              {"hrsp_5xx", "MCP", u64, "HTTP responses 5xx"},
	HrspOther:            {"hrsp_other", "MCP", u64, "other HTTP responses"},
	Hanafail:             {"hanafail", "MCP", u64, "failures seen in live traffic"},
	ReqRate:              {"req_rate", "MRP", u32, "HTTP requests in the last second"},
	ReqRateMax:           {"req_rate_max", "MMP", u32, "most HTTP requests in a second"},
	ReqTot:               {"req_tot", "MCP", u64, "HTTP requests so far"},
	CliAbrt:              {"cli_abrt", "MCP", u64, "sessions that the client broke off"},
	SrvAbrt:              {"srv_abrt", "MCP", u64, "sessions that the server broke off"},
	CompIn:               {"comp_in", "MCP", u64, "bytes to compress"},
	CompOut:              {"comp_out", "MCP", u64, "bytes compressed"},
	CompByp:              {"comp_byp", "MCP", u64, "bytes that went past the compression"},
	CompRsp:              {"comp_rsp", "MCP", u64, "responses compressed"},
	Lastsess:             {"lastsess", "MAP", s32, "seconds since the last session, -1 if there was none"},
	LastChk:              {"last_chk", "MOP", text, "what the last check found"},
	LastAgt:              {"last_agt", "MOP", text, "what the last agent check found"},
	Qtime:                {"qtime", "MaP", u32, "milliseconds in the queue, mean of the last sessions"},
	Ctime:                {"ctime", "MaP", u32, "milliseconds to connect, mean of the last sessions"},
	Rtime:                {"rtime", "MaP", u32, "milliseconds to the response, mean of the last sessions"},
	Ttime:                {"ttime", "MaP", u32, "milliseconds altogether, mean of the last sessions"},
	AgentStatus:          {"agent_status", "MOP", text, "outcome of the last agent check"},
	AgentCode:            {"agent_code", "MOP", u32, "unused"},
	AgentDuration:        {"agent_duration", "MDP", u64, "milliseconds that the last agent check took"},
	CheckDesc:            {"check_desc", "MOP", text, "the outcome of the last check in words"},
	AgentDesc:            {"agent_desc", "MOP", text, "the outcome of the last agent check in words"},
	CheckRise:            {"check_rise", "CGS", u32, "successes that raise the server"},
	CheckFall:            {"check_fall", "CGS", u32, "failures that bring it down"},
	CheckHealth:          {"check_health", "CGS", u32, "health, up to rise + fall - 1"},
	AgentRise:            {"agent_rise", "CGS", u32, "agent successes that raise the server"},
	AgentFall:            {"agent_fall", "CGS", u32, "agent failures that bring it down"},
	AgentHealth:          {"agent_health", "CGS", u32, "health by the agent"},
	Addr:                 {"addr", "CGS", text, "address"},
	Cookie:               {"cookie", "CNS", text, "cookie of the server"},
	Mode:                 {"mode", "CGS", text, "tcp or http"},
	Algo:                 {"algo", "CGS", text, "balancing algorithm"},
	ConnRate:             {"conn_rate", "MRP", u32, "connections in the last second"},
	ConnRateMax:          {"conn_rate_max", "MMP", u32, "most connections in a second"},
	ConnTot:              {"conn_tot", "MCP", u64, "connections so far"},
	Intercepted:          {"intercepted", "MCP", u64, "requests that were answered here"},
	Dcon:                 {"dcon", "MCP", u64, "connections refused by rules"},
	Dses:                 {"dses", "MCP", u64, "sessions refused by rules"},
	Wrew:                 {"wrew", "MCP", u64, "headers that could not be rewritten"},
	Connect:              {"connect", "MCP", u64, "connections begun"},
	Reuse:                {"reuse", "MCP", u64, "connections used again"},
	CacheLookups:         {"cache_lookups", "MCP", u64, "look-ups in the cache"},
	CacheHits:            {"cache_hits", "MCP", u64, "answers from the cache"},
	SrvIcur:              {"srv_icur", "MGP", u32, "idle connections"},
	SrcIlim:              {"src_ilim", "CLP", u32, "limit of idle connections"},
	QtimeMax:             {"qtime_max", "MMP", u32, "most milliseconds in the queue"},
	CtimeMax:             {"ctime_max", "MMP", u32, "most milliseconds to connect"},
	RtimeMax:             {"rtime_max", "MMP", u32, "most milliseconds to the response"},
	TtimeMax:             {"ttime_max", "MMP", u32, "most milliseconds altogether"},
	Eint:                 {"eint", "MCP", u64, "internal errors"},
	IdleConnCur:          {"idle_conn_cur", "MGP", u32, "idle connections that are not safe to use again"},
	SafeConnCur:          {"safe_conn_cur", "MGP", u32, "idle connections that are"},
	UsedConnCur:          {"used_conn_cur", "MGP", u32, "connections in use"},
	NeedConnEst:          {"need_conn_est", "MGP", u32, "connections expected to be needed"},
	Uweight:              {"uweight", "MaP", u32, "weight before slow start"},
	AggServerStatus:      {"agg_server_status", "MGP", u32, "servers by state"},
	AggServerCheckStatus: {"agg_server_check_status", "MGP", u32, "servers by outcome of the check"},
	AggCheckStatus:       {"agg_check_status", "MGP", u32, "checks by outcome"},
	SRID:                 {"srid", "KGS", u32, "revision of the server"},
	SessOther:            {"sess_other", "MCP", u64, "sessions that are not HTTP"},
	H1sess:               {"h1sess", "MCP", u64, "HTTP/1 sessions"},
	H2sess:               {"h2sess", "MCP", u64, "HTTP/2 sessions"},
	H3sess:               {"h3sess", "MCP", u64, "HTTP/3 sessions"},
	ReqOther:             {"req_other", "MCP", u64, "requests that are not HTTP"},
	H1req:                {"h1req", "MCP", u64, "HTTP/1 requests"},
	H2req:                {"h2req", "MCP", u64, "HTTP/2 requests"},
	H3req:                {"h3req", "MCP", u64, "HTTP/3 requests"},
	Proto:                {"proto", "SOS", text, "protocol of the listener"},
	PrivIdleCur:          {"priv_idle_cur", "MGP", u32, "idle connections of one client"},
	Reqbin:               {"reqbin", "MCP", u64, "bytes received from clients"},
	Reqbout:              {"reqbout", "MCP", u64, "bytes sent to servers"},
	Resbin:               {"resbin", "MCP", u64, "bytes received from servers"},
	Resbout:              {"resbout", "MCP", u64, "bytes sent to clients"},
	CacheHintHits:        {"cache_hint_hits", "MCP", u64, "answers from the cache by hint"},
}
