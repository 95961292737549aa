//! gRPC bodies: protobuf, written straight into the transport's buffer.

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::wire::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

/// Decodes requests and encodes responses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeltaCodec;

impl Codec for DeltaCodec {
    type Encode = DeltaDiscoveryResponse;
    type Decode = DeltaDiscoveryRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for DeltaCodec {
    type Item = DeltaDiscoveryResponse;
    type Error = Status;

    fn encode(
        &mut self,
        response: DeltaDiscoveryResponse,
        buffer: &mut EncodeBuf<'_>,
    ) -> Result<(), Status> {
        response
            .encode(buffer)
            .map_err(|error| Status::internal(format!("failed to encode a response: {error}")))
    }
}

impl Decoder for DeltaCodec {
    type Item = DeltaDiscoveryRequest;
    type Error = Status;

    fn decode(
        &mut self,
        buffer: &mut DecodeBuf<'_>,
    ) -> Result<Option<DeltaDiscoveryRequest>, Status> {
        DeltaDiscoveryRequest::decode(buffer)
            .map(Some)
            .map_err(|error| {
                Status::invalid_argument(format!("failed to decode a request: {error}"))
            })
    }
}
