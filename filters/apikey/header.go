package main

// spellings are the names that a server may take for this header: CGI and its heirs make X_CONSUMER of x-consumer and of x_consumer. The
// first one is the name itself.
func spellings(name string) []string {
	all := []string{name}
	for i := range len(name) {
		if name[i] != '-' && name[i] != '_' {
			continue
		}
		other := '-' + '_' - name[i]
		for _, s := range all {
			all = append(all, s[:i]+string(rune(other))+s[i+1:])
		}
	}
	return all
}

// words is how many parts the dashes and underscores of a header's name make.
func words(name string) int {
	n := 1
	for i := range len(name) {
		if name[i] == '-' || name[i] == '_' {
			n++
		}
	}
	return n
}
