//! Structures of fixed order, spelled with federation's codec.

/// Declares a structure whose fields are spelled one after the other, in this order.
macro_rules! wire_struct {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty),* $(,)? }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type),* }

        impl ::conclave_federation::wire::Wire for $name {
            fn put(&self, out: &mut ::conclave_federation::wire::Writer) {
                $(::conclave_federation::wire::Wire::put(&self.$field, out);)*
            }

            fn take(
                from: &mut ::conclave_federation::wire::Reader<'_>,
            ) -> Result<Self, ::conclave_federation::wire::Malformed> {
                Ok(Self { $($field: ::conclave_federation::wire::Wire::take(from)?),* })
            }
        }
    };
}
pub(crate) use wire_struct;
