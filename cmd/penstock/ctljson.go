package main

import (
	"encoding/csv"
	"encoding/json"
	"strings"
)

// answerJSON gives an answer of the stats socket a form that programs can read without knowing the command: a list of
// objects for a table or for sessions, an object for named values, else the lines. Values stay strings.
func answerJSON(text string) any {
	if trimmed := strings.TrimSpace(text); trimmed != "" && strings.ContainsRune("[{", rune(trimmed[0])) && json.Valid([]byte(trimmed)) {
		return json.RawMessage(trimmed)
	}
	lines := []string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	for i, line := range lines[:min(len(lines), 2)] { // the version of a table may come first
		if header, ok := strings.CutPrefix(line, "# "); ok {
			return tableJSON(header, lines[i+1:])
		}
	}
	if rows := sessionsJSON(lines); rows != nil {
		return rows
	}
	if values := valuesJSON(lines); values != nil {
		return values
	}
	return lines
}

// tableJSON reads lines with commas, or with blanks, between the fields that the header names.
func tableJSON(header string, lines []string) any {
	split := strings.Fields
	if strings.Contains(header, ",") {
		split = func(line string) []string {
			fields, err := csv.NewReader(strings.NewReader(line)).Read()
			if err != nil {
				return strings.Split(line, ",")
			}
			return fields
		}
	}
	names := split(header)
	rows := make([]map[string]string, 0, len(lines))
	for _, line := range lines {
		row := map[string]string{}
		for i, value := range split(line) {
			if i < len(names) && names[i] != "" {
				row[names[i]] = value
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// sessionsJSON reads the lines of show sess: an id and fields with =.
func sessionsJSON(lines []string) []map[string]string {
	var rows []map[string]string
	for _, line := range lines {
		id, rest, ok := strings.Cut(line, ": ")
		if !ok || !strings.HasPrefix(id, "0x") {
			return nil
		}
		row := map[string]string{"id": id}
		for _, field := range strings.Fields(rest) {
			if bracket := strings.Index(field, "["); bracket > 0 {
				row[field[:bracket]] = strings.Trim(field[bracket:], "[]")
			} else if name, value, found := strings.Cut(field, "="); found {
				row[name] = value
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// valuesJSON reads lines of a name and a value.
func valuesJSON(lines []string) map[string]string {
	var values map[string]string
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(name, " \t") {
			return nil
		}
		if values == nil {
			values = map[string]string{}
		}
		values[name] = strings.TrimPrefix(value, " ")
	}
	return values
}
