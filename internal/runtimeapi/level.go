package runtimeapi

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

// failure puts the severity of an error before its text.
func (f severityForm) failure(text string) string {
	switch f {
	case severityNumber:
		return "[3]: " + text
	case severityString:
		return "[err]: " + text
	}
	return text
}
