/** Numbers that people call for help, as they type them. Pure. */

/** All of two or three digits in any country (phonenumbers' short numbers; a test compares them). */
export const EMERGENCIES = new Set(
  (
    "01 02 03 13 14 15 16 17 18 19 90 91 92 93 94 000 001 002 003 011 019 022 033 050 060 065 066 068 080 " +
    "085 088 100 101 102 103 104 105 106 107 108 110 111 112 113 114 115 116 117 118 119 120 122 123 124 " +
    "125 127 128 129 130 131 132 133 140 144 150 151 152 153 154 155 156 157 158 159 160 166 170 171 172 " +
    "175 177 180 188 190 191 192 193 194 195 197 198 199 211 311 333 355 511 555 666 819 888 901 902 903 " +
    "911 912 913 917 919 922 933 939 955 977 990 991 992 993 994 995 996 997 998 999"
  ).split(" "),
);

/** Those of most countries, also behind a country code or the 1 that is dialled in North America. */
const WITH_CODE = /^(?:00)?(?:[17]|[2-9]\d{1,2})(?:000|110|112|118|119|911|999)$/;

/**
 * Whether somebody has typed an emergency number: 911, 9-1-1, +1911, 0044 999. Others are the service's to tell.
 *
 * @param {string} typed
 */
export function isEmergency(typed) {
  const digits = typed.replace(/\D/g, "");
  const withCode = /^\s*(?:\+|00|1)/.test(typed) && WITH_CODE.test(digits);
  return withCode || EMERGENCIES.has(digits);
}
