crane ls "$REPO/addheader" | grep -qx v0.2.0-compat
crane ls "$REPO/helloc" | grep -qx v1.0.0
crane ls "$MIRROR/addheader" | grep -qx v0.2.0
