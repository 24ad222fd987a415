package runtimeapi

// level is what a session may do.
type level uint8

const (
	levelUser level = iota
	levelOperator
	levelAdmin
)

func levelOf(name string) level {
	switch name {
	case "user":
		return levelUser
	case "admin":
		return levelAdmin
	}
	return levelOperator
}

func (l level) String() string {
	switch l {
	case levelUser:
		return "user"
	case levelAdmin:
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
