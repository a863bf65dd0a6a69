#!/bin/sh
# The ordinary requests with curl. Arguments: main port's URL, health port's URL, curl's options. A line
# for each answer: name, status, body.
set -eu
main=$1 health=$2
shift 2
options="$*"
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

send() { # NAME [OPTION…] URL
  name=$1
  shift
  status=$(curl --silent --show-error --noproxy '*' --max-time 60 $options --output "$folder/body" --write-out '%{http_code}' "$@") ||
    status="$status (curl ended with $?)"
  [ -f "$folder/body" ] || : >"$folder/body"
  printf '%s\t%s\t%s\n' "$name" "$status" "$(tr -s '[:space:]' ' ' <"$folder/body")"
  rm -f "$folder/body"
}

mutation() { # KEY PAD
  printf '{"export":"E","key":"%s","patch":{"pad":"%*s"}}\n' "$1" "$2" ''
}

post=$main/v1/mutations
for path in health ready ready/write metrics; do send "$path" "$health/$path"; done
send views "$main/v1/views"
mutation length 10 >"$folder/length"
send length --data-binary "@$folder/length" "$post"
# HTTP/1.0 has no chunks
case $options in
*http1.0*) ;;
*)
  mutation chunked 100000 | send chunked --request POST --upload-file - "$post"
  mutation large 3000000 | send too-large --request POST --upload-file - "$post"
  ;;
esac
mutation expect 2000 >"$folder/expect"
send expect --header 'Expect: 100-continue' --data-binary "@$folder/expect" "$post"
mutation gzip 50000 | gzip >"$folder/gzip"
send gzip --header 'Content-Encoding: gzip' --data-binary "@$folder/gzip" "$post"
send rows --compressed "$main/v1/views/E/list"
send head --head "$main/v1/views"
send options --request OPTIONS "$main/v1/views"
send missing "$main/nothing/here"
send bad --data-binary 'no JSON' "$post"
send empty --request POST "$post"
send length-0 --header 'Content-Length: 0' "$main/v1/views"
mutation large 3000000 >"$folder/large"
send too-large --data-binary "@$folder/large" "$post"
# one connection for all
curl --silent --noproxy '*' --max-time 60 $options --write-out '\nagain\t%{http_code}\t%{num_connects}\n' \
  "$main/v1/views?[1-50]" | grep '^again'
