export interface Start { name: string }
