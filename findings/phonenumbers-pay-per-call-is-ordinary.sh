#!/usr/bin/env bash
# phonenumbers 9.0.43: North American pay-per-call and directory lines are valid, ordinary numbers.
#
# A dialling plan that refuses what the library calls PREMIUM_RATE still lets through exchange 976 (pay per call in
# every area code) and 555-1212 (directory assistance, charged for each call): both are FIXED_LINE_OR_MOBILE, like any
# line at home. Follow-me numbers (5YY), billed by their carriers, are PERSONAL_NUMBER and valid too. 900 alone is
# PREMIUM_RATE. Toll fraud needs a list of its own beside the library.
#
# Seen:
#   +12129761234 valid FIXED_LINE_OR_MOBILE
#   +12125551212 valid FIXED_LINE_OR_MOBILE
#   +15335551234 valid PERSONAL_NUMBER
#   +19005551234 valid PREMIUM_RATE
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check phonenumbers==9.0.43
cat > "$folder/try.py" <<'PY'
import phonenumbers

names = {value: name for name, value in vars(phonenumbers.PhoneNumberType).items() if isinstance(value, int)}
for text in ("+12129761234", "+12125551212", "+15335551234", "+19005551234"):
    number = phonenumbers.parse(text)
    valid = "valid" if phonenumbers.is_valid_number(number) else "not valid"
    print(text, valid, names[phonenumbers.number_type(number)])
PY
"$folder/venv/bin/python" "$folder/try.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
+12129761234 valid FIXED_LINE_OR_MOBILE
+12125551212 valid FIXED_LINE_OR_MOBILE
+15335551234 valid PERSONAL_NUMBER
+19005551234 valid PREMIUM_RATE
SEEN
