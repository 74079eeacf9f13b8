"""The server's face to the network: thin, and the only part that knows gRPC and protobuf."""
