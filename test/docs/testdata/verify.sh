grep -q '^web-dev/web-1 .*unknown .*asking the proxy' verdicts.txt
