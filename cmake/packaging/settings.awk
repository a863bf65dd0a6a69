# From `stele serve --help` to the list of settings of stele.json(5):
#   "  NAME: WHAT IT IS"   "      what it means"   "      environment: NAME"
function mdoc(text) {
  gsub(/\\/, "\\e", text)
  if (text ~ /^[.']/) text = "\\&" text
  return text
}
/^settings, / { within = 1; next }
!within { next }
/^  (auth|log|stacks|exports|allowed_origins|auth\.tokens, auth\.keys): / { item = 0; next }
/^  [a-z_.]+: / {
  item = 1
  name = $1
  sub(/:$/, "", name)
  sub(/^ *[a-z_.]+: /, "")
  printf ".It Ic %s\n%s.\n.br\n", name, mdoc($0)
  next
}
item && /^      environment: / { printf ".br\nEnvironment:\n.Ev %s\n", $2; next }
item && /^      / { sub(/^ +/, ""); printf "%s.\n", mdoc(toupper(substr($0, 1, 1)) substr($0, 2)); next }
