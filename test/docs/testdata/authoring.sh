# Both URLs were printed, nothing but the new filter's files is new to git, and dev has ended.
[ "$(wc -l <build/dev.urls)" = 2 ]
[ -z "$(git status --porcelain | grep -vE ' (filters|manifests/base)/hello/' || true)" ]
grep -q 'hello: in service' build/dev.log
! curl -s "$(head -n 1 build/dev.urls)"
