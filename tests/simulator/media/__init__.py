"""The media plane: the gateway that browsers' SDK speaks to, and what phones say and hear. Needs aiortc.

Undocumented by Bandwidth all through: it does what `@bandwidth/webrtc-browser` 0.12.0-beta.1 is seen to want.
Audio only: video that is offered is refused, whatever the participant may publish.
"""
