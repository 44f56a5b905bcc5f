"""Protecting handshakes as PublicMessage (RFC 9420 sections 6.1 and 6.2), and what verified content is."""

from dataclasses import dataclass

from kith.protocol.mls.codec import u16
from kith.protocol.mls.crypto import mac, same
from kith.protocol.mls.framing import FramedContent, PublicMessage, content_tbs, transcript_input
from kith.protocol.mls.refusals import BadSignature, BadTag
from kith.protocol.mls.suite import WireFormat
from kith.protocol.signing import Signer, sign_with_label, verify_with_label
from kith.protocol.wire import Malformed, vector


@dataclass(frozen=True, slots=True)
class Verified:
    """Content that the member at `content.sender_leaf` signed in this group and epoch.

    Made by `verify_public`, by `private_message.unprotect`, and for what we sign ourselves; by nothing else.
    A confirmation tag is not yet checked: only the next epoch's secrets can.
    """

    wire_format: WireFormat
    content: FramedContent
    signature: bytes
    confirmation_tag: bytes | None

    def auth_data(self) -> bytes:
        """FramedContentAuthData."""
        tag = b"" if self.confirmation_tag is None else vector(self.confirmation_tag)
        return vector(self.signature) + tag

    def encode(self) -> bytes:
        """AuthenticatedContent, which a ProposalRef names."""
        return u16(self.wire_format) + self.content.encoded + self.auth_data()

    def transcript_input(self) -> bytes:
        """ConfirmedTranscriptHashInput."""
        return transcript_input(self.wire_format, self.content.encoded, self.signature)


def sign_content(wire_format: WireFormat, content: FramedContent, group_context: bytes, signer: Signer) -> bytes:
    """The signature over FramedContentTBS."""
    return sign_with_label(signer, "FramedContentTBS", content_tbs(wire_format, content.encoded, group_context))


def check_signature(
    wire_format: WireFormat, content: FramedContent, signature: bytes, *, group_context: bytes, signature_key: bytes
) -> None:
    """BadSignature unless the holder of this key signed exactly this content. There is no other way through."""
    tbs = content_tbs(wire_format, content.encoded, group_context)
    if not verify_with_label(signature_key, "FramedContentTBS", tbs, signature):
        raise BadSignature("a message is not signed by its sender")


def membership_tag(key: bytes, verified: Verified, group_context: bytes) -> bytes:
    """The proof that a PublicMessage comes from inside the group (section 6.2)."""
    tbm = content_tbs(verified.wire_format, verified.content.encoded, group_context) + verified.auth_data()
    return mac(key, tbm)


def protect_public(verified: Verified, *, membership_key: bytes, group_context: bytes) -> bytes:
    """The MLSMessage of content that we signed."""
    tag = membership_tag(membership_key, verified, group_context)
    return PublicMessage(verified.content, verified.signature, verified.confirmation_tag, tag).encode()


def verify_public(
    message: PublicMessage, *, membership_key: bytes | None, group_context: bytes, signature_key: bytes
) -> Verified:
    """The content, once membership tag and signature are right. An observer has no membership key and skips the tag.

    Application data never travels in the open (section 6): Malformed.
    """
    if isinstance(message.content.body, bytes):
        raise Malformed("an application message was sent in the open")
    verified = Verified(WireFormat.PUBLIC_MESSAGE, message.content, message.signature, message.confirmation_tag)
    if membership_key is not None:
        expected = membership_tag(membership_key, verified, group_context)
        if not same(expected, message.membership_tag):
            raise BadTag("a handshake does not come from inside the group")
    check_signature(
        WireFormat.PUBLIC_MESSAGE,
        message.content,
        message.signature,
        group_context=group_context,
        signature_key=signature_key,
    )
    return verified
