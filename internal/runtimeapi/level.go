package runtimeapi

import "fmt"

// Level is what a session may do: each level includes the ones before.
type Level uint8

const (
	LevelUser Level = iota
	LevelOperator
	LevelAdmin
)

func levelOf(name string) Level {
	switch name {
	case "user":
		return LevelUser
	case "admin":
		return LevelAdmin
	}
	return LevelOperator
}

func (l Level) String() string {
	switch l {
	case LevelUser:
		return "user"
	case LevelAdmin:
		return "admin"
	}
	return "operator"
}

// severityForm is how a message shows its severity.
type severityForm uint8

const (
	severityNone severityForm = iota
	severityNumber
	severityString
)

func severityOf(name string) severityForm {
	switch name {
	case "number":
		return severityNumber
	case "string":
		return severityString
	}
	return severityNone
}

// Severity is how serious a message is, in the numbers of syslog.
type Severity uint8

// The severities that answers have.
const (
	SeverityErr     Severity = 3
	SeverityWarning Severity = 4
	SeverityNotice  Severity = 5
	SeverityInfo    Severity = 6
)

// prefix is what stands before a message.
func (f severityForm) prefix(severity Severity) string {
	switch f {
	case severityNumber:
		return fmt.Sprintf("[%d]: ", severity)
	case severityString:
		name := map[Severity]string{SeverityErr: "err", SeverityWarning: "warning", SeverityNotice: "notice", SeverityInfo: "info"}[severity]
		return fmt.Sprintf("[%s]: ", name)
	}
	return ""
}
